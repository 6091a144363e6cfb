"""The contracts every backbone fulfils; `backbones.checks.check_backbone` tests them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import Bank, TokenBank
from backbones.description import Description
from backbones.inputs import Input, Preprocessed
from backbones.layer_states import LayerStates
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

    @property
    def runtime(self) -> str:
        """What computes: "torch" or "onnx"."""
        ...

    @property
    def device(self) -> object:
        """Where it computes; as a string "cpu" or "cuda"."""
        ...

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Raises InvalidInput."""
        ...

    def passes(self, lengths: IntArray) -> list[IntArray]:
        """How this engine would split examples of these lengths: positions (of each pass, sorted by
        length). Examples of one of them, encoded alone, are one pass."""
        ...

    def encode(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> FloatArray:
        """Features (B, D), fp32, of length 1, in the order of `batch`.

        rows: (B,) index into the bank for each example, or -1 - k to let the bank's router k
            choose from its pooled unprompted states; all 0 where only the bank is given.
        Raises ShapeMismatch (bank or rows do not fit), RoutingUnavailable (no such router).
        """
        ...

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        """The same pass with the pooled states of every layer and the row each example took.

        Its `features` are what `encode` returns.
        """
        ...


class TrainableBackbone(Backbone, Protocol):
    """The torch engine: the same function, differentiable in the prefix."""

    def lower(self, batch: Preprocessed) -> LowerStates:
        """The hidden states that enter the first prompted layer, to be computed once.

        They carry the pooled unprompted states of the same pass, what a router reads.
        """
        ...

    def encode_lower(self, lower: LowerStates, prefix: Prefix) -> FloatArray:
        """Features (B, D) of all cached examples under one prefix, without gradient."""
        ...

    def encode_lower_layers(
        self, lower: LowerStates, prefix: Prefix, half: bool = False
    ) -> FloatArray:
        """(B, L', D), the pooled outputs, of length 1, of every prompted layer under one prefix.

        Without gradient; the last is what `encode_lower` returns.
        half: compute as training does, in bf16 where the engine trains so
        """
        ...

    def features(self, lower: LowerStates, rows: Rows, prefix: TensorPrefix) -> Tensor:
        """Features (len(rows), D) of the cached examples `rows`, differentiable in `prefix`."""
        ...

    def augmented(self, batch: Preprocessed, seed: int) -> Preprocessed | None:
        """Every example changed at random in a way that leaves its class; None: no such way."""
        ...

    def rough(self, batch: Preprocessed, seed: int) -> Preprocessed | None:
        """Every example in a random worse quality, for routers; None: quality means nothing."""
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
