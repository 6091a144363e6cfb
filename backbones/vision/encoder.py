"""A frozen vision transformer, run block by block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from backbones.passes.blocks import half_copy, through
from backbones.passes.context import PassContext


class VisionModel(Protocol):
    """The parts of a model, by whichever library it was made.

    module: all of it;  blocks: the transformer layers, lowest first
    leading: tokens in front of those of the patches (class token, registers);  heads: of a block
    """

    @property
    def module(self) -> nn.Module: ...

    @property
    def blocks(self) -> Sequence[nn.Module]: ...

    @property
    def leading(self) -> int: ...

    @property
    def heads(self) -> int: ...

    def embedded(self, pixels: Tensor) -> Tensor:
        """(B, S, D) that enters the first block, of normalised pixels (B, 3, h, w)."""
        ...

    def finished(self, hidden: Tensor) -> Tensor:
        """(B, S, D) of the last block's output: the final norm, where the model has one."""
        ...

    def pooled(self, hidden: Tensor) -> Tensor:
        """(B, D) of finished states: what the model's own classifier would be given."""
        ...

    def of(self, module: nn.Module) -> VisionModel:
        """The parts of a copy of `module`."""
        ...


class VisionEncoder:
    """Runs the model by the plan of a `PassContext`.

    The layers on the way are pooled over the tokens of the patches: their mean tells domains apart
    better than the class token (METHODS §7). Features are the model's own pooling.
    """

    def __init__(self, model: VisionModel) -> None:
        """model: frozen, in eval mode; its attention looks for the `current` layer context."""
        self.model: Final = model

    def hidden(
        self, inputs: Mapping[str, Tensor], mask: Tensor, context: PassContext | None = None
    ) -> Tensor:
        """Finished states (B, S, D), or what enters layer `context.stop`."""
        return self._through(self.model.embedded(inputs["pixels"]), context or PassContext())

    def resumed(self, states: Tensor, mask: Tensor, context: PassContext) -> Tensor:
        """The same from `states` (B, S, D) that enter block `context.start`."""
        return self._through(states, context)

    def feature(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Features (B, D), fp32, of length 1."""
        return nn.functional.normalize(self.model.pooled(hidden).float(), dim=-1)

    def content(self, mask: Tensor) -> Tensor:
        """(B, S), 1 for the tokens of patches."""
        patches = torch.ones_like(mask)
        patches[:, : self.model.leading] = 0
        return patches

    def half(self, start: int) -> VisionEncoder:
        """A bf16 copy for passes that resume at block `start`; it shares what lies below."""
        lower = self.model.blocks[:start]
        return VisionEncoder(self.model.of(half_copy(self.model.module, lower)))

    def _through(self, hidden: Tensor, context: PassContext) -> Tensor:
        last = through(self.model.blocks, hidden, context, _run)
        return hidden if last is None else self.model.finished(last)


def _run(block: nn.Module, hidden: Tensor) -> Tensor:
    output = block(hidden)
    states: Tensor = output[0] if isinstance(output, tuple) else output
    return states
