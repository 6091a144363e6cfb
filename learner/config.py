"""What a learner can be told. Numpy and pydantic only: settings and CLIs import it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from learner.gate import GateConfig
from learner.heads.config import HeadConfig
from learner.methods.config import QTuningConfig, SequentialConfig

MethodName = Literal["q-tuning", "sequential", "frozen"]


class LearnerConfig(BaseModel):
    """Everything that decides what is learnt; equal config, seed and batches learn the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = Field(
        "q-tuning", description="how prompts are learnt; frozen: heads only, no prompts"
    )
    q_tuning: QTuningConfig = Field(QTuningConfig(), description="options of q-tuning")
    sequential: SequentialConfig = Field(SequentialConfig(), description="options of sequential")
    head: HeadConfig = Field(HeadConfig(), description="the classifier on the features")
    gate: GateConfig = Field(GateConfig(), description="what a candidate must prove")
    keep_per_class: int = Field(64, ge=4, description="examples a class keeps, at most")
    keep_total: int = Field(
        4096, ge=64, description="examples all classes keep together (never under 4 each)"
    )
    memory_rows: int = Field(
        64, ge=0, description="kept examples of other tasks that eviction may look at"
    )
    minimum_rows: int = Field(
        8, ge=4, description="examples a task needs before its prompt is trained"
    )
    seed: int = Field(0, ge=0, description="of everything random in learning")
    threads: int = Field(1, ge=1, description="CPU threads of the learner's process")
    niceness: int = Field(10, ge=0, le=19, description="how far the learner gives way to serving")
    poll_seconds: float = Field(0.25, gt=0, description="how often the intake is looked at")
