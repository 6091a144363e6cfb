"""Routers: a linear choice of the bank's row from what the unprompted layers see. Plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backbones.arrays import FloatArray, IntArray
from backbones.description import Description
from backbones.errors import ShapeMismatch
from backbones.prefix import as_float32, take

if TYPE_CHECKING:
    from backbones.bank import Bank


@dataclass(frozen=True, eq=False)
class Router:
    """Linear scores of an example's pooled unprompted states pick its row of the bank.

    weights: (K, D, R), K = first_prompted + 1 pooled states (the embeddings' output and the output
        of every unprompted layer), R routes
    bias: (R,);  rows: (R,) the bank's row of each route
    """

    weights: FloatArray
    bias: FloatArray
    rows: IntArray

    def __post_init__(self) -> None:
        weights = as_float32("router weights", self.weights, 3)
        bias = as_float32("router bias", self.bias, 1)
        rows = np.asarray(self.rows)
        routes = weights.shape[2]
        if routes == 0 or bias.shape != (routes,) or rows.shape != (routes,):
            raise ShapeMismatch(
                "a router has weights (K, D, R), bias (R,) and rows (R,) with R at least 1, "
                f"not {weights.shape}, {bias.shape} and {rows.shape}"
            )
        if not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0:
            raise ShapeMismatch(f"a router's rows are indices into a bank, not {rows.tolist()}")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise ShapeMismatch("a router's weights and bias must be finite; fit it again")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "rows", rows.astype(np.int64))

    def scores(self, states: FloatArray) -> FloatArray:
        """(B, R) scores of pooled states (B, K, D). Raises ShapeMismatch."""
        width = self.weights.shape[:2]
        if states.ndim != 3 or states.shape[1:] != width:
            raise ShapeMismatch(f"the router reads states (B, {str(width)[1:]}, not {states.shape}")
        flat = as_float32("states", states, 3).reshape(len(states), width[0] * width[1])
        scores: FloatArray = flat @ self.weights.reshape(-1, len(self.bias)) + self.bias
        return scores

    def choose(self, states: FloatArray) -> IntArray:
        """(B,) the bank's row of the best route of each; the first of equals."""
        chosen: IntArray = self.rows[self.scores(states).argmax(axis=1)]
        return chosen

    def shifted(self, by: int) -> Router:
        """The same choice in a bank that has `by` other rows in front."""
        return replace(self, rows=self.rows + by)

    def check(self, description: Description, bank: Bank) -> None:
        """Raises ShapeMismatch unless it reads this backbone's states and all its rows exist."""
        expected = (description.first_prompted + 1, description.width)
        if self.weights.shape[:2] != expected:
            raise ShapeMismatch(
                f"router weights {self.weights.shape} do not fit {description.name}, which needs "
                f"({expected[0]}, {expected[1]}, R); were they fitted with other prompted_layers?"
            )
        if self.rows.max() >= len(bank):
            raise ShapeMismatch(
                f"the router leads to row {self.rows.max()}, and the bank has {len(bank)} rows"
            )

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The named arrays `load` reads."""
        return {"weights": self.weights, "bias": self.bias, "rows": self.rows}

    @staticmethod
    def load(tensors: Mapping[str, NDArray[Any]]) -> Router:
        """The inverse of `tensors`. Raises ShapeMismatch."""
        return Router(take(tensors, "weights"), take(tensors, "bias"), take(tensors, "rows"))


class JoinedRouters(NamedTuple):
    """All routers of a bank side by side, so that one product scores every route.

    weights: (K·D, R);  bias: (R,);  rows: (R,) the bank's row of each;  owners: (R,) its router
    """

    weights: FloatArray
    bias: FloatArray
    rows: IntArray
    owners: IntArray


def joined(routers: Sequence[Router]) -> JoinedRouters:
    """At least one router, in order."""
    flat = [router.weights.reshape(-1, len(router.rows)) for router in routers]
    return JoinedRouters(
        np.concatenate(flat, axis=1),
        np.concatenate([router.bias for router in routers]),
        np.concatenate([router.rows for router in routers]),
        np.repeat(np.arange(len(routers)), [len(router.rows) for router in routers]),
    )
