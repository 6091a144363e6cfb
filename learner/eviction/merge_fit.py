"""`merge_fit`: Ward merging that looks at the attention, then the fits of `pca` (METHODS §2b)."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from backbones import Queries
from learner.eviction.attention import attend
from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.eviction.fits import refit
from learner.eviction.merge import merge, ward
from learner.rows import Rows

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

FLATTEST = 1e-3
"""Least stretch of a key direction, as a share of the queries' strongest one."""
LEAST_MASS = 1e-8
"""Stands for the attention of a row that no query looks at."""


def merge_fit(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Per head: merge rows that the queries see alike, then fit biases and values.

    Ward merging as in `merge`, but on [s·M^½ k; v] with M = E[qqᵀ]/Dh, so that distances between
    keys are those of their scores, s² = mean ‖v‖², and a row weighs the attention it receives.
    Falls back to `merge` without queries.
    """
    require_keep(keep)
    if keep >= len(rows):
        return Evicted(rows, "merge_fit")
    if not context.queries:
        log.warning("eviction by merge_fit has no queries to fit on; merging rows without fits")
        return merge(rows, keep, context)
    layers = [_layer(rows, keep, layer, q) for layer, q in enumerate(context.queries)]
    values = np.stack([layer[0] for layer in layers]).astype(np.float32)
    bias = np.stack([layer[1] for layer in layers]).astype(np.float32)
    return Evicted(Rows(values, bias), "merge_fit")


def _layer(rows: Rows, keep: int, layer: int, queries: Queries) -> tuple[Array, Array]:
    """Kept `values (2, H, keep, Dh)` and `bias (H, keep)` of one layer."""
    attention = attend(queries, rows, layer)
    keys, values = rows.values[layer].astype(np.float64)
    stretch, shrink = _metric(queries.q.astype(np.float64))
    length = np.sqrt((values**2).sum(axis=2).mean(axis=1))[:, None, None]
    points = np.concatenate([keys @ stretch * length, values], axis=2)
    merged, _ = ward(points, attention.weights.mean(axis=1) + LEAST_MASS, keep)
    width = keys.shape[2]
    new_keys, new_values = merged[..., :width] / length @ shrink, merged[..., width:]
    heads = range(len(keys))
    fitted = [refit(new_keys[h], new_values[h], h, queries, attention) for h in heads]
    return np.stack([v for v, _ in fitted], axis=1), np.stack([b for _, b in fitted])


def _metric(q: Array) -> tuple[Array, Array]:
    """M^½ and M^−½ `(H, Dh, Dh)` of queries `(H, n, Dh)`."""
    moment = q.swapaxes(1, 2) @ q / (q.shape[1] * q.shape[2])
    variances, axes = np.linalg.eigh(moment)
    floor = FLATTEST * variances[:, -1:] + np.finfo(np.float64).tiny
    roots = np.sqrt(np.maximum(variances, 0.0) + floor)[:, None, :]
    return (axes * roots) @ axes.swapaxes(1, 2), (axes / roots) @ axes.swapaxes(1, 2)
