"""T5's attention under a prefix: scores carry a bias of relative position, and are not scaled."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from backbones.bank import NEVER
from backbones.passes.attention import attended
from backbones.passes.context import current
from backbones.text.attention import plain_attention, register_as

NAME: Final = "perennial_t5"


def register() -> None:
    """Make `attn_implementation="perennial_t5"` known. Harmless when repeated."""
    register_as(NAME, t5_attention)


def t5_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    position_bias: Tensor,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention over [prefix; text]; without a context exactly transformers' own SDPA path.

    query, key, value: (B, H, S, Dh);  attention_mask: bool (B, 1, S, S), True to attend, or None
    position_bias: (1, H, S, S), of the text alone. A prefix row stands at no position: its own bias
    takes that place, so its score is q·k·scaling + b
    """
    context = current()
    if context is None:
        output, weights = plain_attention(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            position_bias=position_bias,
            **kwargs,
        )
        return output, weights
    added = position_bias.expand(query.shape[0], -1, -1, -1)
    if attention_mask is not None:
        added = added.masked_fill(~attention_mask, NEVER)
    output = attended(query, key, value, added, scaling, context)
    return output.transpose(1, 2).contiguous(), None
