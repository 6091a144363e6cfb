"""Measures of continual learning over a(i, j): accuracy on task i after learning task j.

METHODS §6. All are fractions between 0 and 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0
