"""What is known of a task when its domain is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learner.arrays import FloatArray, IntArray
from learner.examples import pick_spread


@dataclass(frozen=True, eq=False)
class TaskRows:
    """n rows of one task as the plain backbone sees them.

    states: (n, L + 1, D) pooled states of every layer; the first `depth` of them are those that no
    prompt touches. targets: (n,) columns of the task's own classes, each with a row at least.
    """

    states: FloatArray
    targets: IntArray
    depth: int

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lower(self) -> FloatArray:
        """(n, depth · D): what a router reads."""
        return side_by_side(self.states[:, : self.depth])

    @property
    def whole(self) -> FloatArray:
        """(n, (L + 1) · D): what a head may look at."""
        return side_by_side(self.states)

    def sample(self, budget: int) -> TaskRows:
        """At most `budget` rows, spread evenly over the classes; two of each where there are two.

        Which ones does not depend on their order: those whose last states sort first.
        A row that occurs twice counts once.
        """
        last = np.ascontiguousarray(self.states[:, -1])
        keys = [
            (int(target), row.tobytes()) for target, row in zip(self.targets, last, strict=True)
        ]
        order = np.array([row for _, row in sorted({key: i for i, key in enumerate(keys)}.items())])
        by_class = [order[self.targets[order] == c].tolist() for c in np.unique(self.targets)]
        chosen = pick_spread(by_class, max(budget, 2 * len(by_class)))
        return TaskRows(self.states[chosen], self.targets[chosen], self.depth)


def side_by_side(states: FloatArray) -> FloatArray:
    """(n, K, D) to (n, K · D), divided by √K so that rows have length 1."""
    flat = states.reshape(len(states), -1) / np.float32(states.shape[1] ** 0.5)
    return np.ascontiguousarray(flat, dtype=np.float32)


def stacked(tasks: Sequence[TaskRows]) -> tuple[IntArray, IntArray, IntArray]:
    """Of all rows in order: owners (N,), classes (N,) numbered through; and owners of classes."""
    owners = np.concatenate([np.full(len(task), i) for i, task in enumerate(tasks)])
    classes: list[IntArray] = []
    owner_of: list[int] = []
    for number, task in enumerate(tasks):
        known, columns = np.unique(task.targets, return_inverse=True)
        classes.append(columns + len(owner_of))
        owner_of += [number] * len(known)
    return owners, np.concatenate(classes), np.array(owner_of, dtype=np.int64)


def halves(classes: IntArray) -> IntArray:
    """(N,) 0 or 1 by turns within each class; −1 for a class's only row."""
    half = np.full(len(classes), -1)
    for one in np.unique(classes):
        rows = np.flatnonzero(classes == one)
        if len(rows) > 1:
            half[rows] = np.arange(len(rows)) % 2
    return half
