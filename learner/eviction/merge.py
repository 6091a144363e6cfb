"""`merge`: Ward merging of each head's rows with a log-count bias; needs no data (METHODS §2b)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.rows import Rows

Array = NDArray[np.float64]
LIGHTEST = 1e-30
"""Stands for a weight of 0, so that two padding rows have a mean."""


def merge(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Merge each head's closest rows until `keep` are left.

    A row stands for w = eᵇ rows. Again and again the pair with the smallest
    w_i w_j/(w_i+w_j)·‖x_i−x_j‖², x = [k; v], becomes its weighted mean with weight w_i + w_j; so
    Σ eᵇ of a head never changes. Heads merge different rows: tying them costs five times the
    error, leaving the bias out six times.
    """
    require_keep(keep)
    if keep >= len(rows):
        return Evicted(rows, "merge")
    layers, parts, heads, count, width = rows.values.shape
    points = np.moveaxis(rows.values, 1, 3).reshape(layers * heads, count, parts * width)
    weights = np.maximum(np.exp(rows.bias.astype(np.float64)), LIGHTEST)
    merged, mass = ward(points.astype(np.float64), weights.reshape(-1, count), keep)
    values = np.moveaxis(merged.reshape(layers, heads, keep, parts, width), 3, 1)
    bias = np.log(mass).reshape(layers, heads, keep)
    kept = Rows(np.ascontiguousarray(values, dtype=np.float32), bias.astype(np.float32))
    return Evicted(kept, "merge")


def ward(points: Array, weights: Array, keep: int) -> tuple[Array, Array]:
    """Cluster each of G sets of weighted points; all sets at once.

    `points (G, R, D)`, `weights (G, R)` → means `(G, keep, D)` and weights `(G, keep)`, in the
    order of each cluster's first point.
    """
    points, weights = points.copy(), weights.copy()
    groups = np.arange(len(points))
    alive = np.ones(weights.shape, dtype=bool)
    costs = _all_costs(points, weights)
    for _ in range(weights.shape[1] - keep):
        first, second = _closest(costs)
        _absorb(points, weights, groups, first, second)
        alive[groups, second] = False
        costs[groups, second, :] = costs[groups, :, second] = np.inf
        fresh = _costs_to(points, weights, groups, first)
        fresh[~alive] = np.inf
        fresh[groups, first] = np.inf
        costs[groups, first, :] = costs[groups, :, first] = fresh
    order = np.argsort(~alive, axis=1, kind="stable")[:, :keep]
    return points[groups[:, None], order], weights[groups[:, None], order]


def _closest(costs: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cheapest pair of each set, smaller index first."""
    count = costs.shape[1]
    flat = costs.reshape(len(costs), -1).argmin(axis=1)
    i, j = np.divmod(flat, count)
    return np.minimum(i, j), np.maximum(i, j)


def _absorb(
    points: Array,
    weights: Array,
    groups: NDArray[np.intp],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
) -> None:
    """Put the weighted mean of each pair in the place of its first point."""
    one, other = weights[groups, first], weights[groups, second]
    share = (other / (one + other))[:, None]
    start = points[groups, first]
    points[groups, first] = start + share * (points[groups, second] - start)
    weights[groups, first] = one + other


def _costs_to(
    points: Array, weights: Array, groups: NDArray[np.intp], index: NDArray[np.intp]
) -> Array:
    """Ward costs `(G, R)` between each set's point `index` and all its points."""
    distance: Array = ((points - points[groups, index][:, None, :]) ** 2).sum(axis=2)
    own = weights[groups, index][:, None]
    costs: Array = distance * (own * weights / (own + weights))
    return costs


def _all_costs(points: Array, weights: Array) -> Array:
    """Ward costs `(G, R, R)` of all pairs; the diagonal is infinite."""
    groups = np.arange(len(points))
    rows = range(points.shape[1])
    columns = [_costs_to(points, weights, groups, np.full_like(groups, i)) for i in rows]
    costs = np.stack(columns, axis=1)
    costs[:, rows, rows] = np.inf
    return costs
