"""Domains found from made-up states: Gaussian classes round a centre of their data set."""

from __future__ import annotations

import numpy as np
import pytest

from learner.domains import DomainRouter, Partition, TaskRows, fit_router, place

DEPTH, LAYERS, WIDTH = 2, 4, 24
NOISE = 0.25


def task(center: int, seed: int, rows: int = 24, classes: int = 2, agree: bool = True) -> TaskRows:
    """Lower states around a data set's centre; upper ones show the class, alike in all data sets
    unless they `agree` on where the data set shows."""
    draw = np.random.default_rng(seed)
    targets = np.arange(rows) % classes
    states = NOISE * draw.normal(size=(rows, LAYERS, WIDTH))
    states[:, :DEPTH, center] += 3.0
    spots = 8 + (targets if not agree else (targets + classes * seed) % (WIDTH - 8))
    states[np.arange(rows), DEPTH:, :] *= 1.5
    states[np.arange(rows)[:, None], np.arange(DEPTH, LAYERS)[None], spots[:, None]] += 1.0
    return TaskRows(states.astype(np.float32), targets, DEPTH)


def clashing(names: str) -> dict[str, TaskRows]:
    """Tasks whose classes look the same on the upper layers: only routing tells them apart."""
    return {name: task(i, i, 96, agree=False) for i, name in enumerate(names)}


def parts(names: str) -> dict[str, TaskRows]:
    """Class slices of one data set."""
    return {name: task(0, i, 96) for i, name in enumerate(names)}


def sets(partition: Partition) -> set[frozenset[str]]:
    return {frozenset(group) for group in partition.domains}


def test_tells_tasks_of_unlike_data_sets_apart() -> None:
    assert place(clashing("abc"), Partition()).domains == (("a",), ("b",), ("c",))


def test_parts_of_one_data_set_are_one_domain() -> None:
    assert place(parts("abc"), Partition()).domains == (("a", "b", "c"),)


def test_order_of_rows_and_of_tasks_is_irrelevant() -> None:
    tasks = {**clashing("ab"), "c": task(0, 7, 96)}
    draw = np.random.default_rng(0)
    shuffled = {}
    for name in reversed(tasks):
        order = draw.permutation(len(tasks[name]))
        rows = tasks[name]
        shuffled[name] = TaskRows(rows.states[order], rows.targets[order], DEPTH)
    assert sets(place(tasks, Partition())) == sets(place(shuffled, Partition()))


def test_duplicated_rows_change_nothing() -> None:
    tasks = parts("abc")
    rows = tasks["a"]
    twice = TaskRows(np.tile(rows.states, (3, 1, 1)), np.tile(rows.targets, 3), DEPTH)
    before, after = place(tasks, Partition()), place({**tasks, "a": twice}, Partition())
    assert before == after


def test_a_declared_domain_wins() -> None:
    declared = {"a": "x", "c": "x", "b": "y"}
    assert place(clashing("abc"), Partition(), declared).domains == (("a", "c"), ("b",))
    assert place(parts("abc"), Partition(), {"b": "own"}).domains == (("a", "c"), ("b",))


def test_a_wrong_partition_is_mended_and_told() -> None:
    found = place(clashing("abc"), Partition((("a", "b"),)))
    assert found.domains == (("a",), ("b",), ("c",))
    assert found.report["moved"] == ["a", "b"]


@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (2, 2), (16, 2)])
def test_few_rows_break_nothing_and_split_nothing(rows: int, classes: int) -> None:
    tasks = {name: task(i, i, rows, classes) for i, name in enumerate("abc")}
    assert place(tasks, Partition()).domains == (("a", "b", "c"),)


def test_no_task_and_one_task() -> None:
    assert place({}, Partition()).domains == ()
    assert place(parts("a"), Partition()).domains == (("a",),)


def lower(center: int, seed: int) -> np.ndarray:
    return task(center, seed, 40).states[:, :DEPTH]


def test_router_routes_as_the_backbone_does_and_is_calibrated() -> None:
    router = fit_router([[lower(0, 0), lower(0, 1)], [lower(1, 2)], [lower(2, 3)]])
    unseen = np.concatenate([lower(i, 10 + i) for i in range(3)])
    posteriors = router.log_posteriors(unseen)
    assert (posteriors.argmax(axis=1) == np.repeat([0, 1, 2], 40)).mean() > 0.95
    assert np.allclose(np.exp(posteriors).sum(axis=1), 1, atol=1e-5)
    bank = np.array([4, 0, 2])
    chosen = router.for_bank(bank).choose(unseen)
    assert np.array_equal(chosen, bank[posteriors.argmax(axis=1)])


def test_router_tensors_round_trip() -> None:
    router = fit_router([[lower(0, 0)], [lower(1, 1)]])
    loaded = DomainRouter.load(router.tensors())
    assert np.array_equal(loaded.scores(lower(1, 5)), router.scores(lower(1, 5)))
    assert loaded.temperature == pytest.approx(router.temperature)


def test_a_domain_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="without rows"):
        fit_router([[lower(0, 0)], []])
