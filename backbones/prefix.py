"""Prefixes: learned prompts in the forms a backbone consumes. Plain numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones.arrays import FloatArray
from backbones.description import Description
from backbones.errors import ShapeMismatch


def as_float32(name: str, array: NDArray[Any], dimensions: int) -> FloatArray:
    """`array` as contiguous float32 of `dimensions` axes. Raises ShapeMismatch."""
    if array.ndim != dimensions:
        raise ShapeMismatch(f"{name} needs {dimensions} dimensions, has shape {array.shape}")
    return np.ascontiguousarray(array, dtype=np.float32)


def take(tensors: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """The tensor called `name`. Raises ShapeMismatch where it is missing."""
    if name not in tensors:
        raise ShapeMismatch(f"no tensor {name!r}; there are {sorted(tensors)}")
    return tensors[name]


@dataclass(frozen=True, eq=False)
class Prefix:
    """Keys and values put in front of the attention of the upper L' layers.

    keys_values: (L', 2, H, P, Dh), keys at index 0 and values at 1 of the second axis
    bias: (L', H, P), added to the attention score of each row (the log-count of merged rows)
    """

    keys_values: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        keys_values = as_float32("keys_values", self.keys_values, 5)
        bias = as_float32("bias", self.bias, 3)
        layers, two, heads, length, _ = keys_values.shape
        if two != 2 or bias.shape != (layers, heads, length):
            raise ShapeMismatch(
                "a prefix has keys_values (L', 2, H, P, Dh) and bias (L', H, P), "
                f"not {keys_values.shape} and {bias.shape}"
            )
        object.__setattr__(self, "keys_values", keys_values)
        object.__setattr__(self, "bias", bias)

    @property
    def length(self) -> int:
        """P, the number of rows; 0 for the empty prefix."""
        return int(self.keys_values.shape[3])

    @property
    def digest(self) -> str:
        """Sha256 hex of its numbers: equal for prompts that act alike in every bit."""
        return hashlib.sha256(self.keys_values.tobytes() + self.bias.tobytes()).hexdigest()

    @staticmethod
    def empty(description: Description) -> Prefix:
        """The prefix without rows, under which the backbone is the plain model."""
        shape = description.prefix_shape(0)
        return Prefix(np.zeros(shape, np.float32), np.zeros((shape[0], shape[2], 0), np.float32))

    @staticmethod
    def concat(prefixes: Sequence[Prefix]) -> Prefix:
        """All rows of all prefixes, in order, as one prefix. Raises ShapeMismatch."""
        if not prefixes:
            raise ShapeMismatch("cannot concatenate no prefixes; use Prefix.empty(description)")
        require_same_rows([prefix.keys_values.shape for prefix in prefixes])
        return Prefix(
            np.concatenate([prefix.keys_values for prefix in prefixes], axis=3),
            np.concatenate([prefix.bias for prefix in prefixes], axis=2),
        )

    def check(self, description: Description) -> None:
        """Raises ShapeMismatch unless the backbone described can use this prefix."""
        expected = description.prefix_shape(self.length)
        if self.keys_values.shape != expected:
            raise ShapeMismatch(
                f"prefix {self.keys_values.shape} does not fit {description.name}, which needs "
                f"{expected}; was it trained with another backbone or prompted_layers?"
            )

    def tensors(self) -> dict[str, FloatArray]:
        """The named arrays `load` reads."""
        return {"keys_values": self.keys_values, "bias": self.bias}

    @staticmethod
    def load(tensors: Mapping[str, NDArray[Any]]) -> Prefix:
        """The inverse of `tensors`. Raises ShapeMismatch."""
        return Prefix(take(tensors, "keys_values"), take(tensors, "bias"))


def require_same_rows(shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises ShapeMismatch unless all (L', 2, H, P, Dh) agree in everything but P."""
    if len({(shape[0], shape[2], shape[4]) for shape in shapes}) != 1:
        raise ShapeMismatch(f"prefixes of different backbones do not mix: {sorted(set(shapes))}")


@dataclass(frozen=True, eq=False)
class TokenPrefix:
    """Input tokens put in front of the embedded text. tokens: (P, D)."""

    tokens: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", as_float32("tokens", self.tokens, 2))

    @property
    def length(self) -> int:
        """P, the number of tokens."""
        return int(self.tokens.shape[0])

    @staticmethod
    def empty(description: Description) -> TokenPrefix:
        """The prefix without tokens."""
        return TokenPrefix(np.zeros((0, description.width), np.float32))

    @staticmethod
    def concat(prefixes: Sequence[TokenPrefix]) -> TokenPrefix:
        """All tokens in order. Raises ShapeMismatch."""
        widths = {prefix.tokens.shape[1] for prefix in prefixes}
        if len(widths) != 1:
            raise ShapeMismatch(f"token prefixes need one common width, found {sorted(widths)}")
        return TokenPrefix(np.concatenate([prefix.tokens for prefix in prefixes]))

    def tensors(self) -> dict[str, FloatArray]:
        """The named arrays `load` reads."""
        return {"tokens": self.tokens}

    @staticmethod
    def load(tensors: Mapping[str, NDArray[Any]]) -> TokenPrefix:
        """The inverse of `tensors`. Raises ShapeMismatch."""
        return TokenPrefix(take(tensors, "tokens"))
