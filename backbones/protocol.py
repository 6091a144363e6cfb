"""The contracts every backbone fulfils; `backbones.checks.check_backbone` tests them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from backbones.arrays import FloatArray, Rows
from backbones.bank import Bank, TokenBank
from backbones.description import Description
from backbones.inputs import Input, Preprocessed
from backbones.prefix import Prefix
from backbones.queries import Queries

if TYPE_CHECKING:
    from torch import Tensor

    from backbones.lower import LowerStates
    from backbones.tensors import TensorPrefix


class Backbone(Protocol):
    """A frozen encoder that can be asked to see under prefixes."""

    @property
    def description(self) -> Description: ...

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Raises InvalidInput."""
        ...

    def encode(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> FloatArray:
        """Features (B, D), fp32, of length 1, in the order of `batch`.

        rows: (B,) index into the bank for each example; all 0 where only the bank is given.
        Raises ShapeMismatch (bank or rows do not fit), RoutingUnavailable (a row of -1).
        """
        ...


class TrainableBackbone(Backbone, Protocol):
    """The torch engine: the same function, differentiable in the prefix."""

    def lower(self, batch: Preprocessed) -> LowerStates:
        """The hidden states that enter the first prompted layer, to be computed once."""
        ...

    def encode_lower(self, lower: LowerStates, prefix: Prefix) -> FloatArray:
        """Features (B, D) of all cached examples under one prefix, without gradient."""
        ...

    def features(self, lower: LowerStates, rows: Rows, prefix: TensorPrefix) -> Tensor:
        """Features (len(rows), D) of the cached examples `rows`, differentiable in `prefix`."""
        ...

    def queries(
        self, lower: LowerStates, prefix: Prefix, per_example: int, seed: int
    ) -> list[Queries]:
        """Sampled queries of the text's tokens under `prefix`, one for each prompted layer."""
        ...


class TokenBackbone(TrainableBackbone, Protocol):
    """A backbone that also takes prompts in the form of input tokens."""

    def encode_tokens(
        self, batch: Preprocessed, bank: TokenBank, rows: Rows | None = None
    ) -> FloatArray:
        """As `encode`, with token prefixes."""
        ...

    def token_features(self, batch: Preprocessed, rows: Rows, tokens: Tensor) -> Tensor:
        """Features (len(rows), D) of the examples `rows` under tokens (P, D), differentiable."""
        ...
