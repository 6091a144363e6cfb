"""What one forward pass knows beyond the text: passed as a keyword, so that calls never mix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

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
    """What one layer of one pass does: see under a prefix, and tell what it saw."""

    prefix: LayerPrefix | None = None
    watch: bool = False
    seen: Observation | None = None


@dataclass(eq=False)
class PassContext:
    """The plan of one forward pass over all layers.

    layers: for each layer index its own context; layers that are not named run plainly
    start: layers below it are skipped, and it is given `states` (B, S, D) as its input
    stop: layers from it on are skipped, and the input of the first of them is kept in `stopped`
    """

    layers: dict[int, LayerContext] = field(default_factory=dict)
    start: int = 0
    states: Tensor | None = None
    stop: int | None = None
    stopped: Tensor | None = None
