"""A frozen transformers model whose passes follow a context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from backbones.passes.blocks import half_copy
from backbones.passes.context import KEYWORD, PassContext
from backbones.text.layers import find_layers, follow_context, unfollow

PACKED: Final = ("bert", "roberta", "xlm-roberta")
"""Model types that know where a token stands by its position id alone, and attend to all others."""


class TextEncoder:
    """Runs the model; knows nothing of tokens, banks or batches of batches."""

    def __init__(self, model: nn.Module, layers: int) -> None:
        """model: frozen, in eval mode, its layers following contexts (see `follow_context`)."""
        self.model: Final[Any] = model
        self._layers: Final = layers

    @property
    def first_position(self) -> int:
        """The position id of a text's first token; RoBERTa counts from its padding id + 1."""
        padding = getattr(getattr(self.model, "embeddings", None), "padding_idx", None)
        return 0 if padding is None else int(padding) + 1

    @property
    def packs(self) -> bool:
        """Whether texts may be packed (`Packing`): all but attention sees each token alone."""
        config = self.model.config
        return config.model_type in PACKED and not config.is_decoder

    def hidden(
        self, inputs: Mapping[str, Tensor], mask: Tensor, context: PassContext | None = None
    ) -> Tensor:
        """Last hidden states (B, S, D). mask: (B, S), 1 where there is a token."""
        extra = {} if context is None else {KEYWORD: context}
        output = self.model(**inputs, attention_mask=mask, **extra)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def resumed(self, states: Tensor, mask: Tensor, context: PassContext) -> Tensor:
        """The same from `states` (B, S, D) that enter layer `context.start`.

        The states also stand in for the embedded input, which the skipped layers pass on unused.
        """
        context.states = states
        return self.hidden({"inputs_embeds": states}, mask, context)

    def embedded(self, ids: Tensor) -> Tensor:
        """Word embeddings (B, S, D) of token ids (B, S), before positions are added."""
        embedded: Tensor = self.model.get_input_embeddings()(ids)
        return embedded

    def feature(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Features (B, D), fp32, of length 1: the mean over a text's tokens."""
        return pooled(hidden, mask)

    def content(self, mask: Tensor) -> Tensor:
        """(B, S): all of a text's tokens, special ones included."""
        return mask

    def half(self, start: int) -> TextEncoder:
        """A bf16 copy for passes that resume at layer `start`.

        It shares the layers below and the word embeddings, so it costs half the upper layers.
        """
        shared = [self.model.get_input_embeddings(), *find_layers(self.model, self._layers)[:start]]
        model = half_copy(self.model, shared)
        layers = find_layers(model, self._layers)
        unfollow(layers)
        follow_context(layers)
        return TextEncoder(model, self._layers)


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """Features (B, D), fp32: the mean over tokens of hidden (B, S, D), of length 1."""
    weights = mask.unsqueeze(-1).to(torch.float32)
    mean = (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)
    return nn.functional.normalize(mean, dim=-1)
