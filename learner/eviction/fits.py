"""Biases and values of few rows fitted so that they attend like many (METHODS §2b)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve, solve_triangular
from scipy.optimize import nnls

from backbones import Queries
from learner.eviction.attention import Attention

Array = NDArray[np.float64]

BIAS_DAMPING = 1e-4
VALUE_RIDGE = 1e-3
"""Both relative to the mean diagonal of the normal equations."""
LEAST_WEIGHT = 1e-6
"""A row whose fitted weight is 0 keeps this, so that its bias is finite."""
LARGEST_RATIO = 1e4
"""Bound on one row's share relative to the whole softmax, against overflow."""


def refit(
    keys: Array, values: Array, head: int, queries: Queries, attention: Attention
) -> tuple[Array, Array]:
    """`[keys; values] (2, k, Dh)` and `bias (k,)` of one head that attend as `attention` does.

    `keys (k, Dh)` stay; biases are fitted by non-negative least squares so that the rows' total
    attention matches, values by ridge around `values` so that the output does.
    """
    q = queries.q[head].astype(np.float64)
    scores = q @ keys.T / np.sqrt(q.shape[1]) - attention.log_total[head][:, None]
    unit = np.exp(np.minimum(scores, np.log(LARGEST_RATIO)))
    weights = fit_weights(unit, attention.weights[head].sum(axis=1))
    share = unit * weights
    total = attention.text_weight[head] + share.sum(axis=1)
    text = (attention.text_weight[head] / total)[:, None] * queries.output[head]
    fitted = fit_values(share / total[:, None], attention.output[head] - text, values)
    return np.stack([keys, fitted]), np.log(weights)


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
