"""The attention function that sees under a prefix, registered with transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from backbones._torchvision import define_missing_operators
from backbones.bank import NEVER
from backbones.passes.attention import attended
from backbones.passes.context import KEYWORD, LayerContext, current

define_missing_operators()

from transformers import AttentionInterface, AttentionMaskInterface  # noqa: E402
from transformers.integrations.sdpa_attention import sdpa_attention_forward  # noqa: E402
from transformers.masking_utils import sdpa_mask  # noqa: E402

NAME: Final = "perennial_prefix"
plain_attention: Final = sdpa_attention_forward
"""What runs without a context."""


def register() -> None:
    """Make `attn_implementation="perennial_prefix"` known. Harmless when repeated."""
    register_as(NAME, prefix_attention)


def register_as(name: str, function: Callable[..., tuple[Tensor, Tensor | None]]) -> None:
    """Make `attn_implementation=name` known to transformers, with the masks of SDPA."""
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, _mask)


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
    Packed texts come as (1, H, T, Dh), and with a mask that says nothing of where they end.
    """
    context: LayerContext | None = kwargs.pop(KEYWORD, None) or current()
    if context is None:
        output, weights = plain_attention(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return output, weights
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    packing = context.packing
    if packing is None:
        output = attended(query, key, value, _additive(attention_mask, query), scale, context)
    else:
        query, key, value = (packing.apart(one) for one in (query, key, value))
        output = packing.together(attended(query, key, value, packing.mask, scale, context))
    return output.transpose(1, 2).contiguous(), None


def _mask(**asked: Any) -> Tensor | None:
    """SDPA's, but a causal one is never left to a flag: behind a prefix nobody would read it."""
    mask: Tensor | None = sdpa_mask(**{**asked, "allow_is_causal_skip": False})
    return mask


def _additive(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The mask as scores to add: (B, 1, 1, S) where all queries share it, else (B, 1, S, S)."""
    if mask is None:
        return None
    if mask.stride(2) == 0:
        mask = mask[:, :, :1]
    return torch.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill_(
        ~mask, NEVER
    )
