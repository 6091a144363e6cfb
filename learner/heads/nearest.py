"""Nearest class mean by cosine: the floor every other head has to beat."""

from __future__ import annotations

import numpy as np

from learner.arrays import FloatArray, IntArray
from learner.heads.folds import Folds
from learner.heads.linear import LinearHead
from learner.statistics import ClassStatistics, check_nonempty


def fit_nearest(statistics: ClassStatistics) -> LinearHead:
    """Scores z · μ_c/|μ_c|: the cosine for L2-normalised features, and its order for any.

    Raises ValueError for a class without examples.
    """
    check_nonempty(statistics)
    lengths = np.linalg.norm(statistics.sums, axis=1, keepdims=True)
    weights = (statistics.sums / np.where(lengths > 0, lengths, 1.0)).T.astype(np.float32)
    return LinearHead(weights, np.zeros(weights.shape[1], np.float32))


def held_out_nearest(
    features: FloatArray, labels: IntArray, statistics: ClassStatistics, folds: Folds
) -> FloatArray:
    """Scores (J, C) of the judged rows; a fold is left out by subtracting its statistics."""
    held_out = np.empty((len(folds.judged), len(statistics.classes)), np.float32)
    for fold in folds:
        out = features[fold.left_out], labels[fold.left_out]
        rest = statistics - ClassStatistics.of(*out, statistics.classes)
        held_out[fold.places] = fit_nearest(rest).scores(features[fold.asked])
    return held_out
