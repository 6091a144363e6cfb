"""What kept rows say about a partition of tasks: how many it would answer rightly.

By two-fold cross-validation every row is answered twice: by a router over tasks, on what the
unprompted layers see, and by one flat head over all classes, on what all layers see. A partition
answers a row by the router between domains and by the flat head within the domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, IntArray
from learner.domains.linear import fit_linear
from learner.domains.rows import TaskRows, halves, stacked
from learner.heads.calibration import fit_temperature
from learner.heads.head import log_softmax

ROWS = 1536
"""Rows of all tasks that are looked at, at most."""
MOST_OF_A_TASK = 96

Group = tuple[int, ...]
Groups = tuple[Group, ...]
"""Tasks by their number; every task in one group."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """N rows of T tasks with C classes.

    routed: (N, T) log-posteriors of the tasks; flat: (N, C) of the classes; owners, classes: (N,)
    true ones; owner_of: (C,) the task of each class.
    """

    routed: FloatArray
    flat: FloatArray
    owners: IntArray
    classes: IntArray
    owner_of: IntArray

    def right(self, groups: Groups) -> NDArray[np.bool_]:
        """Which rows of these groups' tasks a partition into them answers rightly, rows in order.

        Groups that leave tasks out are judged as if those did not exist.
        """
        group_of = np.full(self.routed.shape[1], -1)
        for number, group in enumerate(groups):
            group_of[list(group)] = number
        own = group_of[self.owners] >= 0
        tasks = np.exp(self.routed[own])
        mass = np.stack([tasks[:, list(group)].sum(axis=1) for group in groups], axis=1)
        allowed = group_of[self.owner_of][None, :] == mass.argmax(axis=1)[:, None]
        answers = np.where(allowed, self.flat[own], -np.inf).argmax(axis=1)
        return np.asarray(answers == self.classes[own])

    def judged(self, group: Group) -> int:
        """How many rows the tasks of a group were asked about."""
        return int(np.isin(self.owners, group).sum())


def sampled(tasks: Sequence[TaskRows]) -> list[TaskRows]:
    """A sample of each task, `ROWS` rows in all."""
    budget = min(MOST_OF_A_TASK, ROWS // max(1, len(tasks)))
    return [task.sample(budget) for task in tasks]


def gather(tasks: Sequence[TaskRows]) -> Evidence:
    """The evidence of all these rows. A class's only row is fitted on, never asked."""
    owners, classes, owner_of = stacked(tasks)
    lower = np.concatenate([task.lower for task in tasks])
    whole = np.concatenate([task.whole for task in tasks])
    half = halves(classes)
    routed = np.zeros((len(owners), len(tasks)), np.float32)
    flat = np.zeros((len(owners), len(owner_of)), np.float32)
    for asked in (half == 0, half == 1):
        fit = ~asked
        routed[asked] = fit_linear(lower[fit], owners[fit], len(tasks)).scores(lower[asked])
        flat[asked] = fit_linear(whole[fit], classes[fit], len(owner_of)).scores(whole[asked])
    judged = half >= 0
    owners, classes = owners[judged], classes[judged]
    return Evidence(
        _posteriors(routed[judged], owners),
        _posteriors(flat[judged], classes),
        owners,
        classes,
        owner_of,
    )


def _posteriors(scores: FloatArray, targets: IntArray) -> FloatArray:
    return log_softmax(scores / np.float32(fit_temperature(scores, targets)))
