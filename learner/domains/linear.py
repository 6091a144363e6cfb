"""Least squares on one-hot targets, every class weighing the same: a cheap linear classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learner.arrays import FloatArray, IntArray

PENALTY = 0.1
"""λ in units of the mean squared length of a centred row."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """scores = z W + b. weights: (F, C); bias: (C,)."""

    weights: FloatArray
    bias: FloatArray

    def scores(self, rows: FloatArray) -> FloatArray:
        """(N, C) of rows (N, F)."""
        scores: FloatArray = rows @ self.weights + self.bias
        return scores


def fit_linear(
    rows: FloatArray, targets: IntArray, classes: int, penalty: float = PENALTY
) -> LinearFit:
    """Ridge regression of one-hot targets (N,) on rows (N, F), in the dual (N × N).

    Rows are weighted so that every class counts the same, however many rows it has; scores are
    comparable between classes of very different sizes. Raises ValueError for a class without rows.
    """
    from scipy.linalg import cho_factor, cho_solve

    counts = np.bincount(targets, minlength=classes)
    if not counts.all():
        raise ValueError(f"class {int(np.argmin(counts))} of {classes} has no rows")
    weight = (1.0 / counts[targets]).astype(np.float32)
    weight /= weight.sum()
    mean = weight @ rows
    root = np.sqrt(weight * len(rows))[:, None]
    centred = (rows - mean) * root
    prior = np.full(classes, 1.0 / classes, np.float32)
    wanted = (np.eye(classes, dtype=np.float32)[targets] - prior) * root
    kernel = centred @ centred.T
    kernel[np.diag_indices_from(kernel)] += penalty * np.trace(kernel) / len(rows) + 1e-6
    weights = centred.T @ cho_solve(cho_factor(kernel, lower=True), wanted)
    return LinearFit(weights.astype(np.float32), (prior - mean @ weights).astype(np.float32))
