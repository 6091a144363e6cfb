"""Linear discriminant analysis from class statistics alone (METHODS §1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learner.arrays import DoubleArray, FloatArray, IntArray
from learner.heads.covariance import Spread, Whitening
from learner.heads.folds import Folds
from learner.heads.linear import LinearHead
from learner.statistics import ClassStatistics, check_nonempty

SHRINKAGES = (
    0.9,
    0.3,
    0.1,
    0.03,
    0.01,
)  # the first wins a tie: without spread in the folds, all do


def fit_lda(
    statistics: ClassStatistics,
    shrinkage: float | None = None,
    priors: NDArray[np.floating] | None = None,
) -> LinearHead:
    """w_c = Λ μ_c and b_c = −½ μ_cᵀ Λ μ_c + log π_c, with Λ the inverse shrunk covariance.

    shrinkage: ε; None takes oracle approximating shrinkage. priors (C,): uniform by default,
    whatever the counts: few examples of a class do not make it rare.
    Raises ValueError for a class without examples.
    """
    check_nonempty(statistics)
    spread = Spread.of(statistics)
    chosen = spread.oas_shrinkage() if shrinkage is None else shrinkage
    return _solve(spread.whitening(chosen), priors)


def held_out_lda(
    features: FloatArray,
    labels: IntArray,
    statistics: ClassStatistics,
    folds: Folds,
    shrinkages: Sequence[float] = SHRINKAGES,
) -> list[FloatArray]:
    """Scores (J, C) of the judged rows for each shrinkage, uniform priors.

    A fold is left out by subtracting its statistics.
    """
    shape = (len(folds.judged), len(statistics.classes))
    held_out = [np.empty(shape, np.float32) for _ in shrinkages]
    for fold in folds:
        out = features[fold.left_out], labels[fold.left_out]
        spread = Spread.of(statistics - ClassStatistics.of(*out, statistics.classes))
        for scores, shrinkage in zip(held_out, shrinkages, strict=True):
            head = _solve(spread.whitening(shrinkage))
            scores[fold.places] = head.scores(features[fold.asked])
    return held_out


def _solve(whitening: Whitening, priors: NDArray[np.floating] | None = None) -> LinearHead:
    weights = whitening.matrix @ whitening.means.T
    bias = -0.5 * (whitening.means**2).sum(axis=1) - whitening.center @ weights
    if priors is not None:
        bias = bias + _log_priors(priors, len(bias))
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32))


def _log_priors(priors: NDArray[np.floating], classes: int) -> DoubleArray:
    if priors.shape != (classes,) or not (priors > 0).all():
        raise ValueError(f"priors must be {classes} positive numbers, got {priors!r}")
    logs: DoubleArray = np.log(priors / priors.sum(), dtype=np.float64)
    return logs
