"""`merge`: Ward merging of each head's rows by the attention they draw; needs no data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.rows import Rows

Array = NDArray[np.float64]
QUERY_VARIANCE = 2.0
"""σ², the mean square of a query's component. MiniLM's are 1.3 to 1.5; an error at 30 of 70 rows
changes by a tenth between 2 and 4 (docs/eviction.md)."""
LIGHTEST = 1e-30
"""Stands for a weight of 0, so that two padding rows have a mean; the heaviest row weighs 1."""


def merge(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Merge each head's closest rows until `keep` are left.

    For queries q ~ N(0, σ²I) a row draws the attention mass t = E exp(q·k/√d + b) = exp(b +
    σ²‖k‖²/2d), and E q exp(q·k/√d + b) = t σ²k/√d. Again and again the pair with the smallest
    t_i t_j/(t_i+t_j)·‖x_i−x_j‖², x = [k; v], becomes its mean weighted by t, of mass t_i + t_j.
    So Σ t, Σ t k and Σ t v of a head never change: what its rows add to the attention's
    denominator and numerator is kept in the mean. Heads merge different rows: tying them costs
    five times the error; σ² = 0, a plain count of rows, twice.
    """
    require_keep(keep)
    if keep >= len(rows):
        return Evicted(rows, "merge")
    layers, parts, heads, count, width = rows.values.shape
    moved = np.moveaxis(rows.values.astype(np.float64), 1, 3)
    points = moved.reshape(layers * heads, count, parts * width)
    keys = slice(width if rows.form == "keys_values" else 0)
    log_mass = rows.bias.reshape(-1, count) + drawn(points[..., keys], width)
    peak = log_mass.max(axis=1, keepdims=True)
    merged, mass = ward(points, np.maximum(np.exp(log_mass - peak), LIGHTEST), keep)
    bias = np.log(mass) + peak - drawn(merged[..., keys], width)
    values = np.moveaxis(merged.reshape(layers, heads, keep, parts, width), 3, 1)
    kept = Rows(
        np.ascontiguousarray(values, dtype=np.float32),
        bias.reshape(layers, heads, keep).astype(np.float32),
    )
    return Evicted(kept, "merge")


def drawn(keys: Array, width: int) -> Array:
    """log E exp(q·k/√d) = σ²‖k‖²/2d of keys `(…, d)` over queries q ~ N(0, σ²I), d = `width`.

    Input tokens are no keys yet, so a slice without columns comes here: 0.
    """
    exponent: Array = QUERY_VARIANCE * (keys**2).sum(axis=-1) / (2 * width)
    return exponent


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
