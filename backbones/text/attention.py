"""The attention function that sees under a prefix, registered with transformers."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from backbones.bank import NEVER
from backbones.text.context import KEYWORD, LayerContext, Observation

NAME: Final = "perennial_prefix"


def register() -> None:
    """Make `attn_implementation="perennial_prefix"` known. Harmless when repeated."""
    AttentionInterface.register(NAME, prefix_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def prefix_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention over [prefix; text]; without a context exactly transformers' own SDPA path.

    query, key, value: (B, H, S, Dh);  attention_mask: bool (B, 1, S, S), True to attend, or None
    While gradients are on, softmax attention is written out: on a CPU the fused backward takes half
    of a training step.
    """
    context: LayerContext | None = kwargs.pop(KEYWORD, None)
    if context is None:
        output, weights = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output, weights
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    mask = _additive(attention_mask, query)
    if context.watch:
        context.seen = Observation(query, key, value, mask, scale)
    if context.prefix is not None:
        key = _joined(context.prefix.keys, key)
        value = _joined(context.prefix.values, value)
        mask = _widened(mask, context.prefix.bias, query, key)
    attend = _explicit if torch.is_grad_enabled() else _fused
    return attend(query, key, value, mask, scale).transpose(1, 2).contiguous(), None


def _additive(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The mask as scores to add: (B, 1, 1, S) where all queries share it, else (B, 1, S, S)."""
    if mask is None:
        return None
    if mask.stride(2) == 0:
        mask = mask[:, :, :1]
    return torch.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill_(
        ~mask, NEVER
    )


def _joined(prefix: Tensor, text: Tensor) -> Tensor:
    return torch.cat([prefix.expand(text.shape[0], -1, -1, -1), text], dim=2)


def _widened(mask: Tensor | None, bias: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """[bias of the prefix rows; mask of the text]: (B, H, 1 or S, P + S)."""
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
