"""From a configuration to a method, and to a learner that is ready to start. Imports torch."""

from __future__ import annotations

from collections.abc import Callable

from backbones import TrainableBackbone
from learner.config import LearnerConfig
from learner.events import Emit, discard
from learner.loop import Learner
from learner.methods.adapted import DomainPrompt
from learner.methods.additive import Additive
from learner.methods.base import Method
from learner.methods.frozen import Frozen
from learner.methods.joint import Joint
from learner.methods.layer_grouped import LayerGrouped
from learner.methods.q_tuning import QTuning
from learner.methods.sequential import Sequential
from prompt_store import Store


def build_method(config: LearnerConfig) -> Method:
    """The method a configuration names."""
    match config.method:
        case "auto":
            return DomainPrompt(config.auto)
        case "q-tuning":
            return QTuning(config.q_tuning)
        case "progressive":
            return QTuning(config.progressive, name="progressive")
        case "layer-grouped":
            return LayerGrouped(config.layer_grouped)
        case "independent":
            return LayerGrouped(config.independent, name="independent")
        case "sequential":
            return Sequential(config.sequential)
        case "additive":
            return Additive(config.additive)
        case "joint":
            return Joint(config.joint)
        case "frozen":
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
