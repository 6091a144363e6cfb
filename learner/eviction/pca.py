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
from scipy.linalg import cholesky, qr, solve, solve_triangular
from scipy.optimize import nnls

from backbones import Queries
from learner.eviction.attention import Attention, attend
from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.eviction.merge import merge
from learner.rows import Rows

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

BIAS_DAMPING = 1e-4
VALUE_RIDGE = 1e-3
"""Both relative to the mean diagonal of the normal equations."""
LEAST_WEIGHT = 1e-6
"""A row whose fitted weight is 0 keeps this, so that its bias is finite."""
LARGEST_RATIO = 1e4
"""Bound on one row's share relative to the whole softmax, against overflow."""


def pca(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Per head: PCA of A(query, row) = attention × ‖v‖, `keep` rows by pivoted QR, then fits.

    Biases are fitted by non-negative least squares so that the rows' total attention matches,
    values by ridge so that the output does. Falls back to `merge` without queries.
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
    heads = rows.values.shape[2]
    fitted = [_head(rows, keep, layer, head, queries, attention) for head in range(heads)]
    values = np.stack([values for values, _ in fitted], axis=1)
    return values, np.stack([bias for _, bias in fitted])


def _head(
    rows: Rows, keep: int, layer: int, head: int, queries: Queries, attention: Attention
) -> tuple[Array, Array]:
    """Kept `values (2, keep, Dh)` and `bias (keep,)` of one head."""
    keys, values = rows.values[layer, :, head].astype(np.float64)
    chosen = choose(attention.weights[head] * np.linalg.norm(values, axis=1), keep)
    q = queries.q[head].astype(np.float64)
    scores = q @ keys[chosen].T / np.sqrt(q.shape[1]) - attention.log_total[head][:, None]
    unit = np.exp(np.minimum(scores, np.log(LARGEST_RATIO)))
    weights = fit_weights(unit, attention.weights[head].sum(axis=1))
    share = unit * weights
    total = attention.text_weight[head] + share.sum(axis=1)
    text = (attention.text_weight[head] / total)[:, None] * queries.output[head]
    target = attention.output[head] - text
    refitted = fit_values(share / total[:, None], target, values[chosen])
    return np.stack([keys[chosen], refitted]), np.log(weights)


def choose(contribution: Array, keep: int) -> NDArray[np.intp]:
    """Indices (ascending) of the rows that span the leading components of `contribution (n, R)`."""
    scatter = contribution.T @ contribution / len(contribution)
    variances, axes = np.linalg.eigh(scatter)
    leading = slice(-1, -keep - 1, -1)
    spectrum = np.sqrt(np.maximum(variances[leading], 0.0))[:, None] * axes[:, leading].T
    pivots: NDArray[Any] = qr(spectrum, mode="r", pivoting=True)[1]
    return np.sort(pivots[:keep]).astype(np.intp)


def fit_weights(unit: Array, mass: Array) -> Array:
    """w ≥ 0 minimising ‖unit·w − mass‖², `unit (n, k)`, by NNLS on the normal equations."""
    gram = unit.T @ unit
    gram[np.diag_indices_from(gram)] += BIAS_DAMPING * np.trace(gram) / len(gram)
    factor = cholesky(gram, lower=True)
    projected = solve_triangular(factor, unit.T @ mass, lower=True)
    weights, _ = nnls(factor.T, projected)
    return np.maximum(weights, LEAST_WEIGHT)


def fit_values(share: Array, target: Array, start: Array) -> Array:
    """Values `(k, Dh)` near `start` with share·values ≈ target; `share (n, k)`."""
    gram = share.T @ share
    gram[np.diag_indices_from(gram)] += VALUE_RIDGE * np.trace(gram) / len(gram)
    step: Array = solve(gram, share.T @ (target - share @ start), assume_a="pos")
    return start + step
