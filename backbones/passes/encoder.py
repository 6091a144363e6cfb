"""What a pass needs of a frozen transformer, whatever it sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, Self

from torch import Tensor

from backbones.passes.context import PassContext


class Collated(Protocol):
    """A padded batch on the device. mask: (B, S), 1 where there is a token."""

    @property
    def mask(self) -> Tensor: ...

    def inputs(self) -> Mapping[str, Tensor]:
        """What the model is given besides the mask."""
        ...


class Encoder(Protocol):
    """Runs a model's layers by the plan of a `PassContext`; weights never change."""

    def hidden(
        self, inputs: Mapping[str, Tensor], mask: Tensor, context: PassContext | None = None
    ) -> Tensor:
        """Last hidden states (B, S, D)."""
        ...

    def resumed(self, states: Tensor, mask: Tensor, context: PassContext) -> Tensor:
        """The same from `states` (B, S, D) that enter layer `context.start`."""
        ...

    def feature(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Features (B, D), fp32, of length 1, of last hidden states (B, S, D)."""
        ...

    def content(self, mask: Tensor) -> Tensor:
        """(B, S), 1 where a token is part of what the layers on the way are pooled over."""
        ...

    def half(self, start: int) -> Self:
        """A bf16 copy for passes that resume at layer `start`; it shares what lies below."""
        ...
