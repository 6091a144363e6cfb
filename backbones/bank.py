"""Banks: the prefixes one pass can choose from, a row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backbones.arrays import FloatArray, IntArray
from backbones.description import Description
from backbones.errors import ShapeMismatch
from backbones.prefix import Prefix, TokenPrefix, as_float32, require_same_rows, take
from backbones.router import Router

NEVER: Final = -1e4
"""Score bias of a padding row. exp(NEVER) is 0 in fp32, yet NEVER is finite in fp16."""


@dataclass(frozen=True, eq=False)
class Bank:
    """T prefixes of one length, shorter ones padded with rows of bias NEVER.

    keys_values: (T, L', 2, H, P, Dh);  bias: (T, L', H, P)
    routers: router k chooses for the examples whose row is -1 - k; not among the tensors
    """

    keys_values: FloatArray
    bias: FloatArray
    routers: tuple[Router, ...] = ()

    def __post_init__(self) -> None:
        keys_values = as_float32("keys_values", self.keys_values, 6)
        bias = as_float32("bias", self.bias, 4)
        prefixes, layers, two, heads, length, _ = keys_values.shape
        if two != 2 or bias.shape != (prefixes, layers, heads, length):
            raise ShapeMismatch(
                "a bank has keys_values (T, L', 2, H, P, Dh) and bias (T, L', H, P), "
                f"not {keys_values.shape} and {bias.shape}"
            )
        object.__setattr__(self, "keys_values", keys_values)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "routers", tuple(self.routers))

    def __len__(self) -> int:
        return int(self.keys_values.shape[0])

    @property
    def length(self) -> int:
        """P, the rows of the longest prefix."""
        return int(self.keys_values.shape[4])

    def lengths(self) -> IntArray:
        """(T,) rows of each prefix up to its last one that is not padding."""
        used = (self.bias > NEVER).any(axis=(1, 2))
        last: IntArray = np.where(used, np.arange(1, self.length + 1), 0).max(axis=1, initial=0)
        return last

    @staticmethod
    def stack(prefixes: Sequence[Prefix]) -> Bank:
        """One row for each prefix, padded to the longest. Raises ShapeMismatch."""
        if not prefixes:
            raise ShapeMismatch("a bank needs at least one prefix; use Prefix.empty(description)")
        require_same_rows([prefix.keys_values.shape for prefix in prefixes])
        return Bank.concat([Bank(p.keys_values[None], p.bias[None]) for p in prefixes])

    @staticmethod
    def concat(banks: Sequence[Bank]) -> Bank:
        """The rows of all banks in order, padded to the longest, and their routers in order.

        Each router goes on choosing among the rows of its own bank. Raises ShapeMismatch.
        """
        if not banks:
            raise ShapeMismatch("cannot concatenate no banks")
        require_same_rows([bank.keys_values.shape[1:] for bank in banks])
        longest = max(bank.length for bank in banks)
        padded = [bank.padded(longest) for bank in banks]
        starts = np.cumsum([0, *(len(bank) for bank in banks[:-1])]).tolist()
        return Bank(
            np.concatenate([bank.keys_values for bank in padded]),
            np.concatenate([bank.bias for bank in padded]),
            tuple(
                r.shifted(s) for s, bank in zip(starts, banks, strict=True) for r in bank.routers
            ),
        )

    def padded(self, length: int) -> Bank:
        """The same prefixes with `length` rows (not fewer than now)."""
        extra = length - self.length
        if extra == 0:
            return self
        if extra < 0:
            raise ShapeMismatch(f"cannot pad {self.length} rows to {length}")
        return Bank(
            np.pad(self.keys_values, [(0, 0)] * 4 + [(0, extra), (0, 0)]),
            np.pad(self.bias, [(0, 0)] * 3 + [(0, extra)], constant_values=NEVER),
            self.routers,
        )

    def prefix(self, row: int) -> Prefix:
        """The prefix of one row, without its padding."""
        length = int(self.lengths()[row])
        return Prefix(self.keys_values[row, :, :, :, :length], self.bias[row, :, :, :length])

    def check(self, description: Description) -> None:
        """Raises ShapeMismatch unless the backbone described can use this bank and its routers."""
        expected = description.prefix_shape(self.length)
        if self.keys_values.shape[1:] != expected:
            raise ShapeMismatch(
                f"bank {self.keys_values.shape} does not fit {description.name}, which needs "
                f"(T, {str(expected)[1:]}; was it made for another backbone or prompted_layers?"
            )
        for router in self.routers:
            router.check(description, self)

    def tensors(self) -> dict[str, FloatArray]:
        """The named arrays `load` reads."""
        return {"keys_values": self.keys_values, "bias": self.bias}

    @staticmethod
    def load(tensors: Mapping[str, NDArray[Any]]) -> Bank:
        """The inverse of `tensors`. Raises ShapeMismatch."""
        return Bank(take(tensors, "keys_values"), take(tensors, "bias"))


@dataclass(frozen=True, eq=False)
class TokenBank:
    """T token prefixes. Shorter ones are padded in front, so that they stay next to the text.

    tokens: (T, P, D);  lengths: (T,) tokens of each
    """

    tokens: FloatArray
    lengths: IntArray

    def __post_init__(self) -> None:
        tokens = as_float32("tokens", self.tokens, 3)
        lengths = np.asarray(self.lengths, dtype=np.int64)
        if lengths.shape != tokens.shape[:1] or ((lengths < 0) | (lengths > tokens.shape[1])).any():
            raise ShapeMismatch(f"tokens {tokens.shape} and lengths {lengths.tolist()} disagree")
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "lengths", lengths)

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    @staticmethod
    def stack(prefixes: Sequence[TokenPrefix]) -> TokenBank:
        """One row for each prefix. Raises ShapeMismatch."""
        widths = {prefix.tokens.shape[1] for prefix in prefixes}
        if len(widths) != 1:
            raise ShapeMismatch(f"a token bank needs one common width, found {sorted(widths)}")
        longest = max(prefix.length for prefix in prefixes)
        tokens = [np.pad(p.tokens, [(longest - p.length, 0), (0, 0)]) for p in prefixes]
        return TokenBank(np.stack(tokens), np.array([p.length for p in prefixes], np.int64))

    def check(self, description: Description) -> None:
        """Raises ShapeMismatch unless the backbone described can use this bank."""
        if self.tokens.shape[2] != description.width:
            raise ShapeMismatch(
                f"token bank {self.tokens.shape} does not fit {description.name} "
                f"of width {description.width}"
            )
