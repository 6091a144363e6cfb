"""Measures of continual learning over a(i, j): accuracy on task i after learning task j.

METHODS §6. All are fractions; only a drift can be above 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Matrix = NDArray[np.float64]
"""(T, T); entry [i, j] for j ≥ i, NaN below (a task not yet learnt)."""


def final_accuracy(matrix: Matrix) -> float:
    """Mean accuracy over all tasks after the last one."""
    return float(np.mean(matrix[:, -1]))


def average_incremental_accuracy(matrix: Matrix) -> float:
    """Mean over time of the mean accuracy on the tasks seen so far."""
    return float(np.mean([np.mean(matrix[: j + 1, j]) for j in range(matrix.shape[1])]))


def forgetting(matrix: Matrix) -> float:
    """Mean over all but the last task of (best accuracy ever − final accuracy)."""
    tasks = matrix.shape[0]
    if tasks < 2:
        return 0.0
    drops = [np.nanmax(matrix[i, i:]) - matrix[i, -1] for i in range(tasks - 1)]
    return float(np.mean(drops))


def backward_transfer(matrix: Matrix) -> float:
    """Mean over all but the last task of (final accuracy − accuracy when just learnt)."""
    tasks = matrix.shape[0]
    if tasks < 2:
        return 0.0
    return float(np.mean([matrix[i, -1] - matrix[i, i] for i in range(tasks - 1)]))


def dataset_accuracy(matrix: Matrix, datasets: Sequence[str]) -> float:
    """Mean over data sets of the mean final accuracy on their tasks; datasets: (T,) names."""
    final, names = matrix[:, -1], np.asarray(datasets)
    return float(np.mean([final[names == name].mean() for name in np.unique(names)]))


def feature_drift(learnt: Features, final: Features) -> float:
    """How far features (N, D) moved since they were learnt, as a share of their own scatter.

    0: not at all; 1: as far, in the mean square, as they lay from their mean.
    """
    scatter = np.square(learnt - learnt.mean(axis=0)).sum()
    return float(np.square(final - learnt).sum() / scatter)


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0


def middle(values: Sequence[float], digits: int = 2) -> str:
    """Median ± sample standard deviation, for people; a single value alone."""
    shown = f"{median(values):.{digits}f}"
    return shown if len(values) < 2 else f"{shown} ± {spread(list(values))[1]:.{digits}f}"
