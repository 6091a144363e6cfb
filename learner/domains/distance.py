"""How far apart tasks lie in the states that no prompt touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learner.arrays import DoubleArray, FloatArray, IntArray
from learner.domains.discriminant import discriminant
from learner.domains.rows import TaskRows, halves, stacked

SHRINKAGE = 0.1


def distances(tasks: Sequence[TaskRows]) -> DoubleArray:
    """(T, T) Mahalanobis distances of the tasks' means under the within-task covariance.

    Differences of one half's means times those of the other's: without the bias that the noise of
    few rows adds. A class's only row counts in both halves.
    """
    owners, classes, _ = stacked(tasks)
    lower = np.concatenate([task.lower for task in tasks])
    half = halves(classes)
    squares = np.zeros((len(tasks), len(tasks)))
    for asked in (0, 1):
        fit, out = half != asked, (half == asked) | (half < 0)
        weights, _ = discriminant(lower[fit], owners[fit], len(tasks), SHRINKAGE)
        squares += _squares(lower[out] @ weights, owners[out], len(tasks)) / 2
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _squares(scores: FloatArray, owners: IntArray, tasks: int) -> DoubleArray:
    means = np.stack([scores[owners == task].mean(axis=0) for task in range(tasks)])
    own = np.diag(means)
    return np.asarray(own[:, None] + own[None] - means - means.T, np.float64)
