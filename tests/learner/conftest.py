"""A tiny trainable backbone, small batches, and learners on a store in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from learner.build import build_learner
from learner.config import LearnerConfig
from learner.events import Emit, discard
from learner.gate import GateConfig
from learner.loop import Learner
from learner.methods.config import QTuningConfig
from prompt_store import Batch, Example, Store, batch_id
from tests.backbones.models import SUPPORTED, WORDS, save

_moments = count()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TorchTextBackbone:
    """Four layers of width 32, random weights, two of them prompted; trains in fp32."""
    folder = save(SUPPORTED["bert"], tmp_path_factory.mktemp("tiny-bert"))
    return load(str(folder), device="cpu", threads=1, prompted_layers=2, precision="fp32")


def batch(task: str, labels: Sequence[str], rows: int = 8) -> Batch:
    """`rows` examples of each label; the label's own word tells it."""
    examples = tuple(
        Example(id=f"{label}-{i}", label=label, text=text(label, i))
        for i in range(rows)
        for label in labels
    )
    body = "".join(f"{e.label}{e.text}" for e in examples)
    return Batch(
        id=batch_id(),
        task=task,
        received_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(_moments)),
        body_digest=hashlib.sha256(body.encode()).hexdigest(),
        examples=examples,
    )


def text(label: str, i: int = 0) -> str:
    """The i-th text of a label: the label's own word among others."""
    digest = hashlib.sha256(label.encode()).digest()
    return f"{WORDS[i]} {WORDS[-1 - digest[0] % 12]} {WORDS[-1 - digest[1] % 12]} {WORDS[i + 1]}"


def quick(gate: Any = "closed", method: Any = "q-tuning", **options: Any) -> LearnerConfig:
    """Trains for two steps only: what the loop does is tested, not what a prompt is worth."""
    return LearnerConfig(
        method=method,
        gate=GateConfig(mode=gate),
        q_tuning=QTuningConfig(
            rows=2, shared_rows=2, capacity=2, epochs=1, minimum_steps=1, maximum_steps=2
        ),
        poll_seconds=1e-6,
        **options,
    )


MakeLearner = Callable[..., Learner]


@pytest.fixture
def learner_on(tiny: TorchTextBackbone) -> MakeLearner:
    """`learner_on(store, config)`: a started learner with the tiny backbone."""

    def make(store: Store, config: LearnerConfig | None = None, emit: Emit = discard) -> Learner:
        learner = build_learner(store, tiny, config or quick(), emit=emit)
        learner.start()
        return learner

    return make


@pytest.fixture
def store() -> Store:
    """A store in memory."""
    return Store.open(f"memory://loop-{next(_moments)}")


def run_dry(learner: Learner) -> None:
    """Step until there is nothing left to do."""
    while learner.step():
        pass
