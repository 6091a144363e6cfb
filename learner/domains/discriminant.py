"""Linear discriminants of groups in more dimensions than rows (METHODS §5.1)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from learner.arrays import DoubleArray, FloatArray, IntArray


def discriminant(
    rows: FloatArray, groups: IntArray, count: int, shrinkage: float
) -> tuple[FloatArray, FloatArray]:
    """Weights (D, G) and bias (G,) of LDA with uniform priors over `count` groups.

    rows (N, D); groups (N,) indices, each with a row at least. Covariance
    (1 − ε) S + ε tr(S)/D · I, with S the pooled within-group one; solved in N dimensions (Woodbury)
    where N < D. Raises ValueError for a group without rows.
    """
    sizes = np.bincount(groups, minlength=count)
    if len(sizes) != count or not sizes.all():
        raise ValueError(f"each of {count} groups needs a row, got {sizes.tolist()}")
    center = rows.mean(axis=0)
    centered = rows - center
    means = np.zeros((count, rows.shape[1]), np.float32)
    np.add.at(means, groups, centered)
    means /= sizes[:, None]
    directions = _solve(centered - means[groups], means, shrinkage, len(rows) - count)
    weights = directions.T
    bias = -0.5 * (means * directions).sum(axis=1) - center @ weights
    return weights.astype(np.float32), bias.astype(np.float32)


def _solve(within: FloatArray, means: FloatArray, shrinkage: float, freedom: int) -> DoubleArray:
    """Means (G, D) times the inverse of the shrunk covariance of the deviations `within`."""
    width = within.shape[1]
    freedom = max(freedom, 1)
    energy = float((within.astype(np.float64) ** 2).sum()) / freedom / width
    floor = shrinkage * energy or 1.0  # no spread at all: Euclidean
    ridge = floor * freedom / max(1 - shrinkage, 1e-6)
    dual = len(within) < width
    gram = (within @ within.T if dual else within.T @ within).astype(np.float64)
    gram.flat[:: len(gram) + 1] += ridge
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    if not dual:
        solved = cho_solve(factor, means.T.astype(np.float64), check_finite=False)
        return np.asarray(solved.T * (ridge / floor))
    inner = cho_solve(factor, (within @ means.T).astype(np.float64), check_finite=False)
    return np.asarray((means - inner.T @ within) / floor)
