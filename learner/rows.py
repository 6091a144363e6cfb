"""Prompt rows: the one array form that queue, reweighing and eviction compute on.

A *row* is one prompt token with everything that belongs to it. Both forms of a prompt are the same
array with different leading axes, so that one algebra drives them:

    keys and values   values (L', 2, H, R, Dh)   bias (L', H, R)
    input tokens      values (1, 1, 1, R, D)     bias (1, 1, R)

The bias of a row is its log count: 0 for a fresh row, log w for one that stands for w merged rows.
Keys and values are served with it; input tokens cannot be, so there it only weighs later merges.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backbones import Prefix, TokenPrefix
from learner.arrays import FloatArray

Form = Literal["keys_values", "tokens"]
ROW_AXIS = -2
"""Axis of `Rows.values` that counts rows; in `Rows.bias` it is the last."""


@dataclass(frozen=True, eq=False)
class Rows:
    """R prompt rows, fp32. `values (L, S, H, R, W)`, `bias (L, H, R)`; R may be 0."""

    values: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        """Raises ValueError where the two arrays do not describe the same rows."""
        if self.values.ndim != 5 or self.values.shape[1] not in (1, 2):
            raise ValueError(
                f"rows need values of shape (layers, 2 or 1, heads, rows, width), "
                f"got {self.values.shape}"
            )
        layers, _, heads, count, _ = self.values.shape
        if self.bias.shape != (layers, heads, count):
            raise ValueError(
                f"values {self.values.shape} need a bias of shape {(layers, heads, count)}, "
                f"got {self.bias.shape}"
            )

    def __len__(self) -> int:
        return int(self.values.shape[ROW_AXIS])

    @property
    def form(self) -> Form:
        """Keys and values come in pairs (S = 2), input tokens alone (S = 1)."""
        return "keys_values" if self.values.shape[1] == 2 else "tokens"

    def take(self, index: slice | NDArray[np.intp] | Sequence[int]) -> Rows:
        """The rows at `index`, in that order."""
        return Rows(self.values[..., index, :], self.bias[..., index])

    def empty(self) -> Rows:
        """No rows, of the same shape otherwise."""
        return self.take(slice(0))

    def flat(self) -> NDArray[np.float64]:
        """`(R, L·S·H·W)`: every row as one vector, for rules that treat a row as a whole."""
        moved = np.moveaxis(self.values, ROW_AXIS, 0)
        return moved.reshape(len(self), math.prod(moved.shape[1:])).astype(np.float64)

    def unflat(self, matrix: NDArray[np.float64], bias: FloatArray | None = None) -> Rows:
        """The inverse of `flat` for any number of rows; without `bias`, fresh rows."""
        layers, parts, heads, _, width = self.values.shape
        split = matrix.reshape(len(matrix), layers, parts, heads, width).astype(np.float32)
        values = np.ascontiguousarray(np.moveaxis(split, 0, ROW_AXIS))
        return fresh(values) if bias is None else Rows(values, bias)

    def to_prefix(self) -> Prefix:
        """The form a bank holds. Raises ValueError for input tokens, which have no such form."""
        if self.form == "tokens":
            raise ValueError(
                "input-token prompts have no keys and values to put in a bank; "
                "serve them through token_features, or configure form='keys_values'"
            )
        return Prefix(keys_values=self.values, bias=self.bias)

    def to_tokens(self) -> TokenPrefix:
        """The input-token form `(R, D)`. Raises ValueError for keys and values."""
        if self.form == "keys_values":
            raise ValueError("keys and values are no input tokens; use to_prefix()")
        return TokenPrefix(tokens=self.values[0, 0, 0])

    def tensors(self) -> dict[str, FloatArray]:
        """Contiguous arrays under the names `load` reads."""
        values = self.values if self.form == "keys_values" else self.values[0, 0, 0]
        return {
            self.form: np.ascontiguousarray(values),
            "bias": np.ascontiguousarray(self.bias),
        }

    @classmethod
    def load(cls, tensors: Mapping[str, FloatArray]) -> Rows:
        """The inverse of `tensors`. Raises ValueError where neither form is there."""
        if "keys_values" in tensors:
            return cls(tensors["keys_values"], tensors["bias"])
        if "tokens" in tensors:
            return cls(tensors["tokens"][None, None, None], tensors["bias"])
        raise ValueError(f"no 'keys_values' or 'tokens' among {sorted(tensors)}")


def fresh(values: FloatArray) -> Rows:
    """Rows with bias 0. `values (L, S, H, R, W)`."""
    layers, _, heads, count, _ = values.shape
    return Rows(values, np.zeros((layers, heads, count), dtype=np.float32))


def from_prefix(prefix: Prefix) -> Rows:
    """The rows of a keys/values prefix."""
    return Rows(prefix.keys_values, prefix.bias)


def from_tokens(prefix: TokenPrefix) -> Rows:
    """The rows of an input-token prefix `(R, D)`."""
    return fresh(prefix.tokens[None, None, None])


def concat(parts: Sequence[Rows]) -> Rows:
    """All rows in order. Raises ValueError on an empty sequence."""
    if not parts:
        raise ValueError("nothing to concatenate; use Rows.empty() for no rows")
    return Rows(
        np.concatenate([part.values for part in parts], axis=ROW_AXIS),
        np.concatenate([part.bias for part in parts], axis=-1),
    )
