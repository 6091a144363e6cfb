"""Attention over [prefix; content], as every backbone with keys and values computes it."""

from __future__ import annotations

import torch
from torch import Tensor

from backbones.passes.context import LayerContext, Observation


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    context: LayerContext,
) -> Tensor:
    """(B, H, S, Dh): what the queries see of the content and of the context's prefix.

    query, key, value: (B, H, S, Dh);  mask: added to the scores, (B, 1, 1 or S, S), or None
    While gradients are on, softmax attention is written out: on a CPU the fused backward takes half
    of a training step.
    """
    if context.watch:
        context.seen = Observation(query, key, value, mask, scale)
    if context.prefix is not None:
        key = _joined(context.prefix.keys, key)
        value = _joined(context.prefix.values, value)
        mask = _widened(mask, context.prefix.bias, query, key)
    attend = _explicit if torch.is_grad_enabled() else _fused
    return attend(query, key, value, mask, scale)


def _joined(prefix: Tensor, content: Tensor) -> Tensor:
    return torch.cat([prefix.expand(content.shape[0], -1, -1, -1), content], dim=2)


def _widened(mask: Tensor | None, bias: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """[bias of the prefix rows; mask of the content]: (B, H, 1 or S, P + S)."""
    batch, heads = query.shape[:2]
    if mask is None:
        mask = query.new_zeros((1, 1, 1, key.shape[2] - bias.shape[-1]))
    rows = mask.shape[2]
    return torch.cat(
        [bias.expand(batch, heads, rows, -1), mask.expand(batch, heads, rows, -1)], dim=-1
    )


def _explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = (q * scale) @ k.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    return scores.softmax(dim=-1) @ v


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    if mask is not None:
        mask = mask.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
