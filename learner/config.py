"""What a learner can be told. Numpy and pydantic only: settings and CLIs import it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from learner.gate import GateConfig
from learner.heads.config import HeadConfig
from learner.methods.config import (
    AdditiveConfig,
    AutoConfig,
    IndependentConfig,
    JointConfig,
    LayerGroupedConfig,
    ProgressiveConfig,
    QTuningConfig,
    SequentialConfig,
)

MethodName = Literal[
    "auto",
    "q-tuning",
    "layer-grouped",
    "sequential",
    "progressive",
    "independent",
    "additive",
    "joint",
    "frozen",
]


class LearnerConfig(BaseModel):
    """Everything that decides what is learnt; equal config, seed and batches learn the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = Field(
        "auto",
        description="how prompts are learnt; auto: one prompt for each domain that gains by it; "
        "frozen: heads only, no prompts",
    )
    auto: AutoConfig = Field(AutoConfig(), description="options of auto")
    q_tuning: QTuningConfig = Field(QTuningConfig(), description="options of q-tuning")
    layer_grouped: LayerGroupedConfig = Field(
        LayerGroupedConfig(), description="options of layer-grouped"
    )
    sequential: SequentialConfig = Field(SequentialConfig(), description="options of sequential")
    progressive: ProgressiveConfig = Field(
        ProgressiveConfig(), description="options of progressive"
    )
    independent: IndependentConfig = Field(
        IndependentConfig(), description="options of independent"
    )
    additive: AdditiveConfig = Field(AdditiveConfig(), description="options of additive")
    joint: JointConfig = Field(JointConfig(), description="options of joint")
    domains: Literal["found", "one"] | None = Field(
        None,
        description="found: tasks that look alike share a domain, and a router inside the pass "
        "tells domains apart; one: all tasks share one head; default: found with auto, else one",
    )
    declared_domains: dict[str, str] = Field(
        default_factory=dict, description="domains that are known beforehand, by task"
    )
    prompts: int = Field(
        32, ge=1, description="different prompts of domains, at most; then two become one"
    )
    head: HeadConfig = Field(HeadConfig(), description="the classifier on the features")
    gate: GateConfig = Field(GateConfig(), description="what a candidate must prove")
    retain: Literal["all", "k", "none"] = Field(
        "k",
        description="examples that stay once they are learnt: all; k: `keep_per_class` of each "
        "class; none: only statistics, for one domain, and a new prompt moves them by a drift map",
    )
    keep_per_class: int = Field(64, ge=4, description="examples a class keeps, at most")
    keep_total: int = Field(
        4096, ge=64, description="examples all classes keep together (never under 4 each)"
    )
    memory_rows: int = Field(
        64, ge=0, description="kept examples of other tasks that eviction may look at"
    )
    rough_rows: int = Field(
        512,
        ge=0,
        description="about so many kept images a router is fitted on in worse quality too, so that "
        "it does not tell domains apart by sharpness",
    )
    minimum_rows: int = Field(
        8, ge=4, description="examples a task needs before its prompt is trained"
    )
    seed: int = Field(0, ge=0, description="of everything random in learning")
    threads: int = Field(1, ge=1, description="CPU threads of the learner's process")
    niceness: int = Field(10, ge=0, le=19, description="how far the learner gives way to serving")
    poll_seconds: float = Field(0.25, gt=0, description="how often the intake is looked at")

    @property
    def routes(self) -> bool:
        """Whether tasks are placed in domains."""
        if self.retain == "none":
            return False
        return (self.domains or ("found" if self.method == "auto" else "one")) == "found"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.retain == "none" and self.domains == "found":
            raise ValueError(
                "domains='found' compares the examples of tasks, and retain='none' keeps none: "
                "set domains='one' or keep examples"
            )
        return self
