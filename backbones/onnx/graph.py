"""One pass as a function of tensors alone: what the ONNX graph computes. Needs torch.

The bank, the rows and the routers are inputs like the texts, so another version, another task or
another prompt is another tensor and never another graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from backbones.passes.context import (
    LayerContext,
    LayerPooling,
    PassContext,
    shared_mean,
    shares_of,
)
from backbones.passes.device_bank import layer_contexts
from backbones.passes.encoder import Encoder
from backbones.passes.packing import Packing
from backbones.passes.routing import DeviceRouters


class Given(NamedTuple):
    """What an encoder takes. mask: (B, S), or (1, T) ones where `packing` tells texts apart"""

    inputs: Mapping[str, Tensor]
    mask: Tensor
    packing: Packing | None = None


class Entry(Protocol):
    """Turns what is fed into what an encoder takes."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tensors that are fed, in order."""
        ...

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Tensors of a small batch, to trace with."""
        ...

    def dynamic(self, batch: object) -> tuple[dict[int, object], ...]:
        """The axes of each tensor that may have any length. batch: of the first axis"""
        ...

    def __call__(self, *fed: Tensor) -> Given: ...


class PassGraph(nn.Module):
    """(entry's tensors, bank, rows, routers) to pooled states (B, L + 1, D) and rows (B,)."""

    def __init__(self, encoder: Encoder, entry: Entry, layers: int, first_prompted: int) -> None:
        super().__init__()
        self._encoder: Final = encoder
        self._entry: Final = entry
        self._layers: Final = layers
        self._first: Final = first_prompted

    def forward(
        self,
        fed: tuple[Tensor, ...],
        keys_values: Tensor,
        bias: Tensor,
        rows: Tensor,
        weights: Tensor,
        router_bias: Tensor,
        targets: Tensor,
        owners: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Every example under its row of the bank; see `backbones.protocol.Backbone`.

        keys_values: (T, L', 2, H, P, Dh);  bias: (T, L', H, P);  rows: (B,), −1 − k asks router k
        weights: (K·D, R), router_bias, targets, owners: (R,), as in `DeviceRouters`
        """
        inputs, mask, packing = self._entry(*fed)
        routers = DeviceRouters(weights, router_bias, targets, owners)
        taken: list[Tensor] = []

        def route(states: Tensor) -> dict[int, LayerContext]:
            chosen = routers.chosen(states, rows)
            taken.append(chosen)
            return layer_contexts(keys_values[chosen], bias[chosen], self._first)

        encoder = self._encoder
        shares = shares_of(encoder.content(mask)) if packing is None else packing.shares
        pooling = LayerPooling(shares, range(self._layers))
        context = PassContext(packing=packing, pooling=pooling, route=route, route_at=self._first)
        hidden = encoder.hidden(inputs, mask, context)
        packed = packing is not None
        last = shared_mean(shares, hidden) if packed else encoder.feature(hidden, mask)
        return torch.stack([*pooling.states, last], dim=1), taken[0]
