"""`pca_raw`, `pca_mean`, `pca_rescaled`: queue rows synthesised by PCA, after Q-tuning's DQ-PCA.

Published: when the queue is full, keep its leading principal components (Guo et al. 2024).
Ours: how components become rows. Q − m = UΣVᵀ; the rows Σ_k V_kᵀ have no sign, the first is far
longer than a prompt row and the mean is lost, so two variants mend that. They treat a row as a
whole, ignore biases, and are here to be compared with: none reproduces the attention.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.rows import Rows

Array = NDArray[np.float64]


def pca_raw(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Σ_k V_kᵀ. Known to break encoders: the first row is several times too long."""
    _, components = _components(rows, keep)
    return Evicted(rows.unflat(components), "pca_raw")


def pca_mean(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Σ_k V_kᵀ with the mean row added back to each."""
    mean, components = _components(rows, keep)
    return Evicted(rows.unflat(components + mean), "pca_mean")


def pca_rescaled(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """As `pca_mean`, every row scaled to the queue's mean row norm."""
    mean, components = _components(rows, keep)
    raised = components + mean
    norm = np.linalg.norm(rows.flat(), axis=1).mean()
    lengths = np.linalg.norm(raised, axis=1, keepdims=True)
    return Evicted(rows.unflat(raised * (norm / np.maximum(lengths, 1e-12))), "pca_rescaled")


def _components(rows: Rows, keep: int) -> tuple[Array, Array]:
    """The mean row `(W,)` and `Σ_k V_kᵀ` `(k, W)`, each component signed by its scores' skew."""
    require_keep(keep)
    matrix = rows.flat()
    mean = matrix.mean(axis=0)
    left, spectrum, right = np.linalg.svd(matrix - mean, full_matrices=False)
    signs = np.where((left**3).sum(axis=0) < 0, -1.0, 1.0)
    return mean, ((signs * spectrum)[:, None] * right)[:keep]
