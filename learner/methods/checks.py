"""What every method must do: the conformance suite of this folder.

`check_method` raises AssertionError with the promise that was broken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backbones import Description, TrainableBackbone
from learner.arrays import FloatArray
from learner.errors import Cancelled
from learner.methods.base import Lesson, Method, MethodState

Flat = dict[str, dict[str, FloatArray]]


def check_method(
    method: Method, backbone: TrainableBackbone, lessons: Sequence[Lesson], most_rows: int
) -> MethodState:
    """All promises of `Method`, on at least three lessons on tasks of their own.

    most_rows: what no aggregate and no snapshot may ever be longer than. Returns the last state.
    """
    start = method.start(backbone.description)
    assert start.method == method.name, f"the state says {start.method!r}, not {method.name!r}"
    assert not start.kept, "a snapshot before the first task"
    states = [start]
    for lesson in lessons:
        states.append(_trained(method, lesson, states[-1], backbone))
        check_shapes(states[-1], backbone.description, most_rows)
        check_others_kept(states[-2], states[-1], lesson.task)
    check_storage(method, lessons[0], states[-1], backbone)
    check_cancelled(method, lessons[-1], states[-2], backbone)
    check_forgotten(method, lessons[-1], states[-2], backbone)
    return states[-1]


def check_shapes(state: MethodState, description: Description, most_rows: int) -> None:
    """Aggregate and snapshots fit the backbone, are finite, and no longer than promised."""
    for name, rows in {"the aggregate": state.served, **state.kept}.items():
        assert np.isfinite(rows.values).all(), f"{name} is not finite"
        assert len(rows) <= most_rows, f"{name} has {len(rows)} rows, more than {most_rows}"
        if state.form == "keys_values":
            rows.to_prefix().check(description)


def check_others_kept(before: MethodState, after: MethodState, task: str) -> None:
    """A training leaves the snapshots of all other tasks as they are."""
    for name, rows in before.kept.items():
        if name != task:
            kept = after.kept[name].tensors()
            same = all(np.array_equal(kept[key], array) for key, array in rows.tensors().items())
            assert same, f"training {task!r} changed the snapshot of {name!r}"


def check_storage(
    method: Method, lesson: Lesson, state: MethodState, backbone: TrainableBackbone
) -> None:
    """A state comes back from its parts in any order, and is trained on alike."""
    parts = state.parts()
    loaded = MethodState.assemble({role: parts[role] for role in sorted(parts, reverse=True)})
    _same(_flat(loaded), _flat(state), "stored and read again")
    assert loaded.metadata() == state.metadata(), "metadata differ after storage"
    one, two = (_flat(method.train(lesson, s, backbone, _silent)) for s in (state, loaded))
    _same(one, two, "trained on after storage")


def check_cancelled(
    method: Method, lesson: Lesson, state: MethodState, backbone: TrainableBackbone
) -> None:
    """A training that is stopped leaves no trace."""
    before = _copy(_flat(state))

    def stop(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        raise Cancelled("a check")

    try:
        method.train(lesson, state, backbone, stop)
    except Cancelled:
        _same(_flat(state), before, "after a cancelled training")


def check_forgotten(
    method: Method, lesson: Lesson, state: MethodState, backbone: TrainableBackbone
) -> None:
    """A forgotten task has no snapshot, and others are learnt as before."""
    for task in state.kept:
        left = state.without(task)
        assert task not in left.kept, f"{task!r} was forgotten and is kept"
        assert task not in method.train(lesson, left, backbone, _silent).kept or (
            task == lesson.task
        ), f"training brought the forgotten {task!r} back"


def _trained(
    method: Method, lesson: Lesson, state: MethodState, backbone: TrainableBackbone
) -> MethodState:
    """The state after a lesson, computed twice: equal, and the old state as it was."""
    before = _copy(_flat(state))
    one, two = (method.train(lesson, state, backbone, _silent) for _ in range(2))
    _same(_flat(one), _flat(two), f"{lesson.task!r} learnt twice with one seed")
    _same(_flat(state), before, f"the old state after training {lesson.task!r}")
    return one


def _flat(state: MethodState) -> Flat:
    return {role: tensors for role, (tensors, _) in state.parts().items()}


def _copy(flat: Flat) -> Flat:
    return {role: {k: v.copy() for k, v in tensors.items()} for role, tensors in flat.items()}


def _same(one: Flat, other: Flat, what: str) -> None:
    assert one.keys() == other.keys(), f"{what}: parts {sorted(one)} and {sorted(other)}"
    for role, tensors in one.items():
        assert tensors.keys() == other[role].keys(), f"{what}: tensors of {role} differ in name"
        for name, array in tensors.items():
            assert np.array_equal(array, other[role][name]), f"{what}: {role}/{name} differs"


def _silent(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    """A report nobody listens to."""
