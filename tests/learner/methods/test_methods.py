"""The conformance suite on every method; that it catches what breaks a promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from backbones import Description, TrainableBackbone
from backbones.text.backbone import TorchTextBackbone
from learner.methods.adapted import DomainPrompt
from learner.methods.additive import Additive
from learner.methods.base import Lesson, Method, MethodState, Progress
from learner.methods.checks import check_method
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
from learner.methods.frozen import Frozen
from learner.methods.joint import Joint
from learner.methods.layer_grouped import LayerGrouped
from learner.methods.q_tuning import QTuning
from learner.methods.sequential import Sequential

MakeLesson = Callable[..., Lesson]
STEPS = {"rows": 2, "epochs": 1, "minimum_steps": 2}
QUEUE = {**STEPS, "shared_rows": 1, "capacity": 3}


def grouped(**options: object) -> LayerGrouped:
    """Layer groups in two steps a task."""
    return LayerGrouped(LayerGroupedConfig.model_validate({**STEPS, **options}))


def queue(**options: object) -> QTuning:
    """Q-tuning in two steps a task, full after three."""
    return QTuning(QTuningConfig.model_validate({**QUEUE, **options}))


METHODS: dict[str, tuple[Method, int]] = {
    "frozen": (Frozen(), 0),
    "sequential": (Sequential(SequentialConfig.model_validate(STEPS)), 2),
    "auto": (DomainPrompt(AutoConfig.model_validate(STEPS)), 2),
    "additive": (Additive(AdditiveConfig.model_validate(STEPS)), 2),
    "joint": (Joint(JointConfig.model_validate({**STEPS, "rows": 4})), 4),
    "layer-grouped": (grouped(), 2),
    "layer-grouped sum": (grouped(combination="sum"), 2),
    "layer-grouped matched": (grouped(combination="matched", groups=1), 2),
    "independent": (LayerGrouped(IndependentConfig.model_validate(STEPS), "independent"), 2),
    "independent sum": (
        LayerGrouped(
            IndependentConfig.model_validate({**STEPS, "combination": "sum"}), "independent"
        ),
        2,
    ),
    "q-tuning": (queue(), 7),
    "q-tuning tokens": (queue(form="tokens", eviction="merge"), 7),
    "progressive": (
        QTuning(ProgressiveConfig.model_validate({**STEPS, "capacity": 5}), "progressive"),
        10,
    ),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_the_promises(
    name: str, tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method, most_rows = METHODS[name]
    lessons = [lesson(task, count=12) for task in ("a", "bb", "ccc", "dddd")]
    state = check_method(method, tiny, lessons, most_rows)
    assert state.method == method.name
    assert set(state.kept) == (set() if name == "frozen" else {"a", "bb", "ccc", "dddd"})


@dataclass(frozen=True)
class Broken:
    """Sequential with a fault."""

    fault: Callable[[MethodState, MethodState, Lesson], MethodState]
    name: str = "sequential"
    digest: str = ""

    def start(self, description: Description) -> MethodState:
        """As it should be."""
        return Sequential().start(description)

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """Right but for the fault."""
        method = Sequential(SequentialConfig.model_validate(STEPS))
        return self.fault(state, method.train(lesson, state, backbone, report), lesson)


def random_result(old: MethodState, new: MethodState, lesson: Lesson) -> MethodState:
    """Another result each time."""
    noise = np.random.default_rng().normal(size=new.served.values.shape).astype(np.float32)
    return replace(new, served=replace(new.served, values=noise))


def changed_in_place(old: MethodState, new: MethodState, lesson: Lesson) -> MethodState:
    """The old state written to."""
    old.served.values[...] += 1
    return new


def touched_others(old: MethodState, new: MethodState, lesson: Lesson) -> MethodState:
    """All snapshots replaced."""
    return replace(new, kept={**dict.fromkeys(old.kept, new.served), lesson.task: new.served})


def grown(old: MethodState, new: MethodState, lesson: Lesson) -> MethodState:
    """Twice as many rows."""
    return replace(new, served=new.served.take([0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (random_result, "learnt twice with one seed"),
        (changed_in_place, "differs"),
        (touched_others, "changed the snapshot of 'a'"),
        (grown, "has 4 rows, more than 2"),
    ],
)
def test_the_suite_catches_a_fault(
    fault: Callable[[MethodState, MethodState, Lesson], MethodState],
    reason: str,
    tiny: TorchTextBackbone,
    lesson: MakeLesson,
) -> None:
    lessons = [lesson(task, count=12) for task in ("a", "bb", "ccc")]
    with pytest.raises(AssertionError, match=reason):
        check_method(Broken(fault), tiny, lessons, 2)
