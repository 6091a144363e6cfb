"""What encoders that are run block by block do alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor, nn

from backbones.passes.context import PassContext, seeing


def through(
    blocks: Sequence[nn.Module],
    hidden: Tensor,
    context: PassContext,
    run: Callable[[nn.Module, Tensor], Tensor],
) -> Tensor | None:
    """The last block's output, by the plan of the context; None where the plan stops before it.

    hidden: (B, S, D) that enters block `context.start`;  run: a block on states (B, S, D)
    """
    for index, block in enumerate(blocks):
        if index < context.start:
            continue
        context.enter(index, hidden)
        if index == context.stop:
            context.stopped = hidden
            return None
        with seeing(context.layers.get(index)):
            hidden = run(block, hidden)
    return hidden


def half_copy(model: nn.Module, shared: Iterable[nn.Module]) -> nn.Module:
    """A copy in bf16 that shares the parameters of `shared`, which stay as they are."""
    kept = {id(p): p for module in shared for p in module.parameters()}
    copied = copy.deepcopy(model, dict(kept))
    for parameter in copied.parameters():
        if id(parameter) not in kept:
            parameter.data = parameter.data.bfloat16()
    return copied
