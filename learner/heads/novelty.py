"""How far an input lies from every class: relative Mahalanobis distance as a quantile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, IntArray, Tensors
from learner.heads.covariance import Spread
from learner.heads.head import check_features
from learner.statistics import ClassStatistics, check_nonempty, check_rows

SHRINKAGE = 0.3
_LADDER = 257  # quantiles kept of the training scores


@dataclass(frozen=True, eq=False)
class Novelty:
    """Distance to the nearest class minus distance to the whole, against the training rows' own.

    score(z) = min_c (z−μ_c)ᵀ Σ⁻¹ (z−μ_c) − (z−μ)ᵀ Σ₀⁻¹ (z−μ), Σ within classes, Σ₀ of all
    examples, both shrunk (Ren et al. 2021). With one class the second term is left out.
    """

    center: FloatArray  # (D,)      μ
    square: FloatArray  # (D, D)    Σ⁻¹ − Σ₀⁻¹
    slope: FloatArray  # (D, C)     −2 Σ⁻¹ (μ_c − μ)
    offset: FloatArray  # (C,)      (μ_c − μ)ᵀ Σ⁻¹ (μ_c − μ)
    ladder: FloatArray  # (Q,)      evenly spaced quantiles of the leave-one-out scores, rising

    def scores(self, features: FloatArray) -> FloatArray:
        """Raw scores (B,) of features (B, D): higher is farther."""
        rows = check_features(features, self.center.shape[0]) - self.center
        nearest = (rows @ self.slope + self.offset).min(axis=1)
        own: FloatArray = ((rows @ self.square) * rows).sum(axis=1) + nearest
        return own

    def quantiles(self, features: FloatArray) -> FloatArray:
        """Novelty (B,) in 0…1 of features (B, D).

        0: nearer than every training example was when left out; 1: farther than all of them.
        """
        return self._rank(self.scores(features))

    def tensors(self) -> Tensors:
        """What to store, fp32."""
        return {
            "center": self.center,
            "square": self.square,
            "slope": self.slope,
            "offset": self.offset,
            "ladder": self.ladder,
        }

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]]) -> Novelty:
        """The inverse of `tensors`."""
        names = ("center", "square", "slope", "offset", "ladder")
        return cls(*(tensors[name] for name in names))

    def _rank(self, scores: FloatArray) -> FloatArray:
        steps = np.linspace(0, 1, len(self.ladder))
        return np.interp(scores, self.ladder, steps).astype(np.float32)


def fit_novelty(
    features: FloatArray,
    labels: IntArray,
    statistics: ClassStatistics,
    shrinkage: float = SHRINKAGE,
) -> Novelty | None:
    """Of the training rows (N, D) and their statistics; None where no class has two examples.

    Rows of classes with one example count in the statistics, not in the quantiles: left out,
    they would be novel. Raises ValueError for a class without examples.
    """
    check_nonempty(statistics)
    labels = check_rows(features, labels, len(statistics.classes))
    several = statistics.counts[labels] > 1
    if not several.any():
        return None
    inside = Spread.of(statistics).whitening(shrinkage)
    center = statistics.sums.sum(axis=0) / statistics.total
    rows, own = features[several], labels[several]
    left_out = inside.leave_one_out(rows, own).min(axis=1)
    square = precision = inside.precision
    if len(statistics.classes) > 1:
        whole = Spread.of(statistics.relabel(dict.fromkeys(statistics.classes, "whole")))
        around = whole.whitening(shrinkage)
        left_out -= around.leave_one_out(rows, np.zeros_like(own))[:, 0]
        square = precision - around.precision
    means = statistics.means - center
    slope = -2 * precision @ means.T
    ladder = np.quantile(left_out, np.linspace(0, 1, min(_LADDER, len(left_out) + 1)))
    arrays = (center, square, slope, -0.5 * (means.T * slope).sum(axis=0), ladder)
    return Novelty(*(np.asarray(array, np.float32) for array in arrays))
