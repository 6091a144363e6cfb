"""The pooled within-class covariance: shrinkage, whitening and leave-one-out distances.

One covariance is shared by all classes: with a few examples per class their own ones collapse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learner.arrays import DoubleArray, FloatArray, IntArray
from learner.statistics import ClassStatistics

_FLAT = 1e-12  # a variance, relative to the mean square feature, that counts as none
_LEAST = 1e-3  # shrinkage that keeps the covariance invertible whatever the rounding


def pooled_covariance(statistics: ClassStatistics) -> DoubleArray:
    """(D, D) Σ = S / (N − C), over the classes with examples.

    Without any spread inside classes (one example each, or constant features) nothing is known
    of its shape, so it is isotropic, with the variance of all examples together (or 1).
    """
    width = statistics.width
    if not statistics.total:
        raise ValueError("no examples: a covariance needs at least one")
    energy = float(np.trace(statistics.scatter)) / (statistics.total * width)
    if statistics.freedom:
        covariance = statistics.within / statistics.freedom
        if np.trace(covariance) / width > _FLAT * energy:
            return covariance
    center = statistics.sums.sum(axis=0) / statistics.total
    variance = energy - float(center @ center) / width
    return np.eye(width) * (variance if variance > _FLAT * energy else 1.0)


@dataclass(frozen=True)
class Spread:
    """Class means and the pooled covariance in its eigenbasis: cheap to shrink many ways."""

    statistics: ClassStatistics
    values: DoubleArray  # (D,) eigenvalues of the pooled covariance, rising
    vectors: DoubleArray  # (D, D) eigenvectors, in columns

    @classmethod
    def of(cls, statistics: ClassStatistics) -> Spread:
        """Of statistics in which every class has an example."""
        values, vectors = np.linalg.eigh(pooled_covariance(statistics))
        return cls(statistics, np.maximum(values, 0.0), vectors)

    def oas_shrinkage(self) -> float:
        """The ε of oracle approximating shrinkage (Chen et al. 2010, eq. 23) for N − C samples."""
        width, freedom = len(self.values), max(self.statistics.freedom, 1)
        square, trace = float((self.values**2).sum()), float(self.values.sum())
        spread = (freedom + 1 - 2 / width) * (square - trace**2 / width)
        if spread <= 0:
            return 1.0
        return float(np.clip(((1 - 2 / width) * square + trace**2) / spread, _LEAST, 1.0))

    def whitening(self, shrinkage: float) -> Whitening:
        """By the inverse root of (1 − ε) Σ + ε · tr(Σ)/D · I, for 0 < ε ≤ 1."""
        values = (1 - shrinkage) * self.values + shrinkage * self.values.mean()
        matrix = self.vectors / np.sqrt(values)
        class_means = self.statistics.means
        center = class_means.mean(axis=0)
        means = (class_means - center) @ matrix
        counts, freedom = self.statistics.counts, self.statistics.freedom
        return Whitening(matrix, center, means, counts, freedom, shrinkage)


@dataclass(frozen=True)
class Whitening:
    """Class means in the space where the shrunk pooled covariance is the identity."""

    matrix: DoubleArray  # (D, D) V with V Vᵀ = Σ⁻¹: y = (z − center) V
    center: DoubleArray  # (D,) mean of the class means, for the rounding's sake only
    means: DoubleArray  # (C, D) whitened
    counts: DoubleArray  # (C,)
    freedom: int
    shrinkage: float

    @property
    def precision(self) -> DoubleArray:
        """(D, D) Λ, the inverse of the shrunk covariance."""
        return self.matrix @ self.matrix.T

    def leave_one_out(self, features: FloatArray, labels: IntArray) -> FloatArray:
        """(N, C) squared Mahalanobis distances of training rows, each as if it had been left out.

        For features (N, D) that are in the statistics under `labels`, of classes with at least
        two examples. Leaving x out of class c takes n/(n−1) (x−μ)(x−μ)ᵀ from S, one from N − C,
        and moves μ_c: by Sherman–Morrison no second inverse is needed. The change of the
        shrinkage target tr(Σ)/D is neglected.
        """
        rows = ((features - self.center) @ self.matrix).astype(np.float32)
        means = self.means.astype(np.float32)
        counts = self.counts[labels].astype(np.float32)
        own = rows - means[labels]
        along = (own * rows).sum(axis=1)[:, None] - own @ means.T  # (x−μ_c)ᵀ Σ⁻¹ (x−μ_k)
        distances = _squared_distances(rows, means)
        everyone = np.arange(len(labels))
        grown = counts / (counts - 1)
        along[everyone, labels] *= grown
        distances[everyone, labels] *= grown**2
        weight = (1 - self.shrinkage) * grown / max(self.freedom, 1)
        gain = weight / np.maximum(1 - weight * (own**2).sum(axis=1), _FLAT)
        distances += gain[:, None].astype(np.float32) * along**2
        left = max(self.freedom - 1, 1) / max(self.freedom, 1)
        return distances * np.float32(left)


def _squared_distances(rows: FloatArray, means: FloatArray) -> FloatArray:
    squares = (rows**2).sum(axis=1)[:, None] + (means**2).sum(axis=1)
    distances: FloatArray = np.maximum(squares - 2 * (rows @ means.T), np.float32(0))
    return distances
