"""From a configuration to a method, and to a learner that is ready to start. Imports torch."""

from __future__ import annotations

from collections.abc import Callable

from backbones import Backbone, TrainableBackbone
from backbones.description import Modality
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
from prompt_store import RetentionConfig, Store


def build_method(config: LearnerConfig, modality: Modality = "text") -> Method:
    """The method a configuration names, with the recipe of what the backbone sees."""
    match config.method:
        case "auto":
            return DomainPrompt(config.auto.suited(modality))
        case "q-tuning":
            return QTuning(config.q_tuning.suited(modality))
        case "progressive":
            return QTuning(config.progressive.suited(modality), name="progressive")
        case "layer-grouped":
            return LayerGrouped(config.layer_grouped.suited(modality))
        case "independent":
            return LayerGrouped(config.independent.suited(modality), name="independent")
        case "sequential":
            return Sequential(config.sequential.suited(modality))
        case "additive":
            return Additive(config.additive.suited(modality))
        case "joint":
            return Joint(config.joint.suited(modality))
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
    int8: Backbone | None = None,
    retention: RetentionConfig | None = None,
) -> Learner:
    """A learner on this store; call its `start`, then `step` for as long as it should learn.

    retention: what it keeps of the store's past; None: all.
    """
    method = build_method(config, backbone.description.modality)
    return Learner(
        store,
        backbone,
        method,
        config,
        writer=writer,
        emit=emit,
        stopping=stopping,
        int8=int8,
        retention=retention,
    )
