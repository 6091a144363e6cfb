"""From a configuration to a method, and to a learner that is ready to start. Imports torch."""

from __future__ import annotations

from collections.abc import Callable

from backbones import TrainableBackbone
from learner.config import LearnerConfig
from learner.events import Emit, discard
from learner.loop import Learner
from learner.methods.base import Method
from learner.methods.frozen import Frozen
from learner.methods.q_tuning import QTuning
from learner.methods.sequential import Sequential
from prompt_store import Store


def build_method(config: LearnerConfig) -> Method:
    """The method a configuration names."""
    if config.method == "q-tuning":
        return QTuning(config.q_tuning)
    if config.method == "sequential":
        return Sequential(config.sequential)
    return Frozen()


def build_learner(
    store: Store,
    backbone: TrainableBackbone,
    config: LearnerConfig,
    *,
    writer: str = "learner",
    emit: Emit = discard,
    stopping: Callable[[], bool] = lambda: False,
) -> Learner:
    """A learner on this store; call its `start`, then `step` for as long as it should learn."""
    method = build_method(config)
    return Learner(store, backbone, method, config, writer=writer, emit=emit, stopping=stopping)
