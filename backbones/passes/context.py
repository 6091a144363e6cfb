"""What one forward pass knows beyond the text: passed as a keyword, so that calls never mix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import torch
from torch import Tensor

from backbones.passes.packing import Packing

KEYWORD: Final = "perennial"
"""The name under which a context travels through the model's keyword arguments."""


@dataclass(frozen=True, eq=False)
class LayerPrefix:
    """What one layer's attention puts in front of the text's own keys and values.

    keys, values: (B or 1, H, P, Dh);  bias: (B or 1, H, 1, P); all of the model's dtype
    """

    keys: Tensor
    values: Tensor
    bias: Tensor


@dataclass(eq=False)
class Observation:
    """What a watched layer's attention saw of the text.

    q, k, v: (B, H, S, Dh);  mask: what is added to the scores, or None;  scaling: of q·k
    """

    q: Tensor
    k: Tensor
    v: Tensor
    mask: Tensor | None
    scaling: float


@dataclass(eq=False)
class LayerContext:
    """What one layer of one pass does: see under a prefix, and tell what it saw.

    packing: how the texts it is given are packed, None where they are padded
    """

    prefix: LayerPrefix | None = None
    packing: Packing | None = None
    watch: bool = False
    seen: Observation | None = None


@dataclass(eq=False)
class LayerPooling:
    """Pools what enters `layers` of one pass: the mean over tokens, of length 1.

    shares: (B, 1, S), or (1, B, T) where texts are packed: what each token counts for
    states: (B, D), fp32, for each such layer so far
    """

    shares: Tensor
    layers: range
    states: list[Tensor] = field(default_factory=list)

    @staticmethod
    def over(mask: Tensor, layers: range) -> LayerPooling:
        """The mean over the tokens where mask (B, S) is 1."""
        return LayerPooling(shares_of(mask), layers)

    def enter(self, index: int, hidden: Tensor) -> None:
        """Take note of hidden (B, S, D), or (1, T, D), the input of layer `index`."""
        if index in self.layers:
            self.states.append(shared_mean(self.shares, hidden))


def shares_of(mask: Tensor) -> Tensor:
    """(B, 1, S), fp32: what each token counts for the mean over those where mask (B, S) is 1."""
    kept = mask.to(torch.float32)
    return (kept / kept.sum(dim=1, keepdim=True)).unsqueeze(1)


def shared_mean(shares: Tensor, hidden: Tensor) -> Tensor:
    """(B, D), fp32, of length 1: the mean over tokens of hidden (B, S, D), or packed (1, T, D).

    One product instead of a weighted sum: no temporary of the size of `hidden`.
    """
    return torch.nn.functional.normalize((shares @ hidden.float()).flatten(0, 1), dim=-1)


Route: TypeAlias = Callable[[Tensor], dict[int, LayerContext]]
"""From pooled states (B, K, D) to the contexts of the layers above them."""


@dataclass(eq=False)
class PassContext:
    """The plan of one forward pass over all layers.

    layers: for each layer index its own context; layers that are not named run plainly
    start: layers below it are skipped, and it is given `states` (B, S, D) as its input
    stop: layers from it on are skipped, and the input of the first of them is kept in `stopped`
    packing: how the texts are packed, None where they are padded
    pooling: pools the inputs of the layers it names
    route: asked at layer `route_at` for `layers`, from what was pooled up to there
    """

    layers: dict[int, LayerContext] = field(default_factory=dict)
    start: int = 0
    states: Tensor | None = None
    stop: int | None = None
    stopped: Tensor | None = None
    packing: Packing | None = None
    pooling: LayerPooling | None = None
    route: Route | None = None
    route_at: int = 0

    def enter(self, index: int, hidden: Tensor) -> None:
        """Before layer `index` gets hidden (B, S, D): pool it, and choose where it is time to."""
        if self.pooling is None:
            return
        self.pooling.enter(index, hidden)
        if self.route is not None and index == self.route_at:
            self.layers = self.route(torch.stack(self.pooling.states, dim=1))

    def of(self, index: int) -> LayerContext | None:
        """What layer `index` is told; None: nothing, it runs plainly."""
        layer = self.layers.get(index)
        if self.packing is None:
            return layer
        return replace(layer or LayerContext(), packing=self.packing)


_CURRENT: Final[ContextVar[LayerContext | None]] = ContextVar("perennial_layer", default=None)


@contextmanager
def seeing(context: LayerContext | None) -> Iterator[None]:
    """Run a layer whose attention is to find this context, where no keyword reaches it."""
    token = _CURRENT.set(context)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> LayerContext | None:
    """The context of the layer that runs in this thread at this moment, if any."""
    return _CURRENT.get()
