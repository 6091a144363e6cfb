"""`pca`: real rows chosen by PCA of the attention they receive, then refitted (METHODS §2b).

That PCA compresses a full queue is published (Q-tuning's DQ-PCA); that it looks at the attention
instead of the rows, picks real rows and fits biases and values is our choice: rows synthesised by
PCA never reproduce the attention.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from backbones import Queries
from learner.eviction.attention import attend
from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.eviction.fits import refit
from learner.eviction.merge import merge
from learner.rows import Rows

Array = NDArray[np.float64]
log = logging.getLogger(__name__)


def pca(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Per head: PCA of A(query, row) = attention × ‖v‖, `keep` rows by pivoted QR, then fits.

    Falls back to `merge` without queries.
    """
    require_keep(keep)
    if keep >= len(rows):
        return Evicted(rows, "pca")
    if not context.queries:
        log.warning("eviction by pca has no queries to look at; merging rows instead")
        return merge(rows, keep, context)
    layers = [_layer(rows, keep, layer, q) for layer, q in enumerate(context.queries)]
    values = np.stack([layer[0] for layer in layers]).astype(np.float32)
    bias = np.stack([layer[1] for layer in layers]).astype(np.float32)
    return Evicted(Rows(values, bias), "pca")


def _layer(rows: Rows, keep: int, layer: int, queries: Queries) -> tuple[Array, Array]:
    """Kept `values (2, H, keep, Dh)` and `bias (H, keep)` of one layer."""
    attention = attend(queries, rows, layer)
    fitted = []
    for head in range(rows.values.shape[2]):
        keys, values = rows.values[layer, :, head].astype(np.float64)
        chosen = choose(attention.weights[head] * np.linalg.norm(values, axis=1), keep)
        fitted.append(refit(keys[chosen], values[chosen], head, queries, attention))
    values = np.stack([values for values, _ in fitted], axis=1)
    return values, np.stack([bias for _, bias in fitted])


def choose(contribution: Array, keep: int) -> NDArray[np.intp]:
    """Indices (ascending) of the rows that span the leading components of `contribution (n, R)`."""
    scatter = contribution.T @ contribution / len(contribution)
    variances, axes = np.linalg.eigh(scatter)
    leading = slice(-1, -keep - 1, -1)
    spectrum = np.sqrt(np.maximum(variances[leading], 0.0))[:, None] * axes[:, leading].T
    pivots: NDArray[Any] = qr(spectrum, mode="r", pivoting=True)[1]
    return np.sort(pivots[:keep]).astype(np.intp)
