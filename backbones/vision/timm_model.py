"""timm's VisionTransformers, whose attention looks for the prefix of the layer that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor, nn

from backbones.errors import UnsupportedModel
from backbones.passes.attention import attended
from backbones.passes.context import current


class PrefixAttention(nn.Module):
    """timm's `Attention`, which it is exactly where no context is current."""

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        self.plain: Final[Any] = plain

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """(B, S, D) to (B, S, D); the steps of `timm.layers.Attention.forward`."""
        context = current()
        if context is None:
            untouched: Tensor = self.plain(x, attn_mask=attn_mask, is_causal=is_causal)
            return untouched
        plain = self.plain
        batch, tokens, _ = x.shape
        split = plain.qkv(x).reshape(batch, tokens, 3, plain.num_heads, plain.head_dim)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = plain.q_norm(query), plain.k_norm(key)
        seen = attended(query, key, value, None, plain.scale, context)
        seen = plain.norm(seen.transpose(1, 2).reshape(batch, tokens, -1))
        if plain.gate is not None:
            seen = seen * plain.gate(x).sigmoid()
        output: Tensor = plain.proj(seen)
        return output


class TimmModel:
    """A timm VisionTransformer as the parts that `VisionEncoder` runs."""

    def __init__(self, model: nn.Module) -> None:
        """model: one that `prepared` has gone over."""
        self.module: Final[Any] = model

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer layers, lowest first."""
        return list(self.module.blocks)

    @property
    def leading(self) -> int:
        """Class token and registers."""
        return int(self.module.num_prefix_tokens)

    @property
    def heads(self) -> int:
        """Attention heads of a block."""
        return int(self.module.blocks[0].attn.plain.num_heads)

    def embedded(self, pixels: Tensor) -> Tensor:
        """Patches and positions, as `forward_features` makes them."""
        hidden = self.module._pos_embed(self.module.patch_embed(pixels))
        entered: Tensor = self.module.norm_pre(self.module.patch_drop(hidden))
        return entered

    def finished(self, hidden: Tensor) -> Tensor:
        """The final norm."""
        normed: Tensor = self.module.norm(hidden)
        return normed

    def pooled(self, hidden: Tensor) -> Tensor:
        """Class token, mean or attention pooling, as the model has it."""
        features: Tensor = self.module.forward_head(hidden, pre_logits=True)
        return features

    def of(self, module: nn.Module) -> TimmModel:
        """The parts of a copy of the model."""
        return TimmModel(module)


def prepared(name: str, model: nn.Module) -> TimmModel:
    """The model with its attention replaced. Raises UnsupportedModel where it is another kind."""
    from timm.layers.attention import Attention
    from timm.models.vision_transformer import VisionTransformer

    if not isinstance(model, VisionTransformer):
        raise UnsupportedModel(
            f"backbone {name!r} is a {type(model).__name__}; of timm's models VisionTransformers "
            "take prefixes (names that begin with vit_, deit_ and the like)"
        )
    blocks: Any = model.blocks
    for block in blocks:
        plain = getattr(block, "attn", None)
        if type(plain) is not Attention:
            raise UnsupportedModel(
                f"backbone {name!r} has blocks with {type(plain).__name__} for attention; prefixes "
                "go through timm's plain Attention only"
            )
        block.attn = PrefixAttention(plain)
    return TimmModel(model)
