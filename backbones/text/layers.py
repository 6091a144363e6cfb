"""Make a model's layers follow the context of a pass: skip, resume, stop, or see under a prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from backbones.errors import UnsupportedModel
from backbones.passes.context import KEYWORD, PassContext


def find_layers(model: nn.Module, count: int) -> list[nn.Module]:
    """The transformer layers, lowest first. Raises UnsupportedModel where they are not plain."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if len(lists) != 1:
        raise UnsupportedModel(
            f"{type(model).__name__} has {len(lists)} lists of {count} modules; exactly one, its "
            "layers, is needed to tell where prefixes go"
        )
    return list(lists[0])


def follow_context(layers: list[nn.Module]) -> None:
    """Wrap each layer's forward; weights and their names stay as they are."""
    for index, layer in enumerate(layers):
        layer.forward = _following(layer.forward, index)


def unfollow(layers: list[nn.Module]) -> None:
    """Give layers their own forward back; a copied layer would call the original's."""
    for layer in layers:
        layer.__dict__.pop("forward", None)


def _following(forward: Callable[..., Any], index: int) -> Callable[..., Any]:
    def layer_forward(hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        context: PassContext | None = kwargs.pop(KEYWORD, None)
        if context is None:
            return forward(hidden, *args, **kwargs)
        if index < context.start:
            return hidden
        if index == context.start and context.states is not None:
            hidden = context.states
        context.enter(index, hidden)
        if context.stop is not None and index >= context.stop:
            context.stopped = hidden if context.stopped is None else context.stopped
            return hidden
        layer = context.of(index)
        extra = {} if layer is None else {KEYWORD: layer}
        return forward(hidden, *args, **kwargs, **extra)

    return layer_forward
