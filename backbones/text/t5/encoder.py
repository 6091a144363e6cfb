"""A frozen T5 encoder, run block by block."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from backbones.passes.blocks import half_copy, through
from backbones.passes.context import PassContext
from backbones.text.encoder import TextEncoder


class T5Encoder(TextEncoder):
    """Runs a T5Stack by the plan of a `PassContext`.

    T5 knows distances only. They are counted over all that is put in, input tokens included, and
    give every block the same bias: it is made for a pass once, also where one resumes above the
    first block, which holds its weights.
    """

    def __init__(self, model: nn.Module) -> None:
        """model: the encoder's T5Stack, frozen, in eval mode, with `t5_attention`."""
        super().__init__(model, len(model.block))  # type: ignore[arg-type]  # a ModuleList

    def hidden(
        self, inputs: Mapping[str, Tensor], mask: Tensor, context: PassContext | None = None
    ) -> Tensor:
        """Finished states (B, S, D), or what enters block `context.stop`.

        inputs: `input_ids` (B, S), or `inputs_embeds` (B, S, D); other fields mean nothing to T5
        """
        embeds = inputs.get("inputs_embeds")
        states = self.embedded(inputs["input_ids"]) if embeds is None else embeds
        return self._through(states, mask, context or PassContext())

    def resumed(self, states: Tensor, mask: Tensor, context: PassContext) -> Tensor:
        """The same from `states` (B, S, D) that enter block `context.start`."""
        return self._through(states, mask, context)

    def embedded(self, ids: Tensor) -> Tensor:
        """Word embeddings (B, S, D) of token ids (B, S)."""
        embedded: Tensor = self.model.embed_tokens(ids)
        return embedded

    def half(self, start: int) -> T5Encoder:
        """A bf16 copy for passes that resume at block `start`.

        It shares the blocks below and the word embeddings.
        """
        shared = [self.model.embed_tokens, *self.model.block[:start]]
        return T5Encoder(half_copy(self.model, shared))

    def _through(self, hidden: Tensor, mask: Tensor, context: PassContext) -> Tensor:
        allowed = self._allowed(hidden, mask)
        bias = self._position_bias(hidden)

        def run(block: nn.Module, states: Tensor) -> Tensor:
            after: Tensor = block(states, allowed, bias)[0]
            return after

        last = through(self.model.block, hidden, context, run)
        if last is None:
            return hidden
        finished: Tensor = self.model.final_layer_norm(last)
        return finished

    def _allowed(self, hidden: Tensor, mask: Tensor) -> Tensor | None:
        """Bool (B, 1, S, S), True to attend; None where nothing is padded, as transformers does."""
        from transformers.masking_utils import create_bidirectional_mask

        allowed: Tensor | None = create_bidirectional_mask(
            config=self.model.config, inputs_embeds=hidden, attention_mask=mask
        )
        return allowed

    def _position_bias(self, hidden: Tensor) -> Tensor:
        """(1, H, S, S), of the states' type."""
        length = hidden.shape[1]
        attention = self.model.block[0].layer[0].SelfAttention
        bias: Tensor = attention.compute_bias(length, length, device=hidden.device)
        return bias.to(hidden.dtype)
