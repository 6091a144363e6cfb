"""The router: which domain an input belongs to, by what the unprompted layers see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones import Router
from learner.arrays import FloatArray, IntArray, Tensors
from learner.domains.linear import LinearFit, fit_linear
from learner.domains.rows import side_by_side
from learner.heads.calibration import fit_temperature
from learner.heads.head import log_softmax

ROWS = 1536
"""Rows a router is fitted on, at most: enough for 97 % (docs/domains.md), and never slower."""
UNJUDGED = 0.15
"""Temperature where no domain has two rows."""


@dataclass(frozen=True, eq=False)
class DomainRouter:
    """Linear scores of pooled lower states, one column a domain, and their temperature.

    weights: (K, D, R);  bias: (R,)
    """

    weights: FloatArray
    bias: FloatArray
    temperature: float = 1.0

    def scores(self, lower: FloatArray) -> FloatArray:
        """(N, R) of pooled lower states (N, K, D). Raises ShapeMismatch."""
        return self._domains.scores(lower)

    def log_posteriors(self, lower: FloatArray) -> FloatArray:
        """(N, R) calibrated log-probabilities of the domains."""
        return log_softmax(self.scores(lower) / np.float32(self.temperature))

    def for_bank(self, rows: IntArray) -> Router:
        """What the backbone runs inside its pass; domain r leads to `rows[r]` of the bank."""
        return Router(self.weights, self.bias, np.asarray(rows, dtype=np.int64))

    @cached_property
    def _domains(self) -> Router:
        """Domain r leads to r."""
        return self.for_bank(np.arange(len(self.bias)))

    def tensors(self) -> Tensors:
        """What to store, fp32."""
        temperature = np.array([self.temperature], np.float32)
        return {"weights": self.weights, "bias": self.bias, "temperature": temperature}

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]]) -> DomainRouter:
        """The inverse of `tensors`."""
        return cls(tensors["weights"], tensors["bias"], float(tensors["temperature"][0]))


def fit_router(domains: Sequence[Sequence[FloatArray]]) -> DomainRouter:
    """Of each domain the lower states (n, K, D) of its tasks' rows.

    Every domain counts the same, and within it every task the same share of the rows looked at.
    Raises ValueError for a domain without rows.
    """
    budget = max(2, ROWS // max(1, len(domains)))
    chosen = [_spread(tasks, budget) for tasks in domains]
    states = np.concatenate(chosen)
    targets = np.concatenate([np.full(len(part), i) for i, part in enumerate(chosen)])
    _, depth, width = states.shape
    rows = side_by_side(states)
    fit = fit_linear(rows, targets, len(domains))
    weights = (fit.weights / np.float32(depth**0.5)).reshape(depth, width, len(domains))
    return DomainRouter(weights, fit.bias, _temperature(rows, targets, len(domains)))


def _spread(tasks: Sequence[FloatArray], budget: int) -> FloatArray:
    """At most `budget` rows, as many of each task, evenly from first to last."""
    share = max(1, budget // max(1, len(tasks)))
    taken = [
        task[np.unique(np.linspace(0, len(task) - 1, min(share, len(task))).astype(int))]
        for task in tasks
        if len(task)
    ]
    if not taken:
        raise ValueError("a domain without rows cannot be routed to")
    return np.concatenate(taken)


def _temperature(rows: FloatArray, targets: IntArray, domains: int) -> float:
    """From scores of rows that were left out of the fit, in two halves of every domain."""
    rank = np.zeros(len(targets), dtype=np.int64)
    for domain in range(domains):
        own = np.flatnonzero(targets == domain)
        rank[own] = np.arange(len(own))
    if np.bincount(targets, minlength=domains).min() < 2:
        return UNJUDGED
    held_out = np.empty((len(targets), domains), np.float32)
    for half in (0, 1):
        fit: LinearFit = fit_linear(rows[rank % 2 != half], targets[rank % 2 != half], domains)
        held_out[rank % 2 == half] = fit.scores(rows[rank % 2 == half])
    return fit_temperature(held_out, targets)
