"""T5's decoder, asked how likely it would be to write each of some labels."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from backbones.text.token_input import TokenInput

_LOGITS: Final = 2**25
"""Most logits of one decoder pass: 128 MB in fp32."""
_STATES: Final = 8192
"""Most encoder states that a pass looks up, counted once for each label."""


class LabelDecoder:
    """Knows the model only; batches are made elsewhere."""

    def __init__(self, model: nn.Module) -> None:
        """model: T5ForConditionalGeneration, frozen, in eval mode."""
        self._model: Final[Any] = model

    @property
    def most_inputs(self) -> int:
        """Inputs that one call of `log_probabilities` should be given at most."""
        return max(1, _LOGITS // int(self._model.config.vocab_size))

    def log_probabilities(self, states: Tensor, mask: Tensor, labels: TokenInput) -> Tensor:
        """(B, C), fp32: the sum of the log-probabilities of each label's tokens.

        states: (B, S, D), finished, of the encoder;  mask: (B, S);  labels: C texts of ids
        All labels begin behind the same start token, so one step serves the first token of all;
        what the decoder looks up in the states is computed in that step, once for each input.
        """
        inputs, count, length = len(states), len(labels.ids), labels.ids.shape[1]
        logits, cache = self._first(states, mask)
        first = _taken(logits, labels.ids[:, 0].expand(inputs, -1))
        if length == 1:
            return first
        example = torch.arange(inputs, device=states.device).repeat_interleave(count)
        label = torch.arange(count, device=states.device).repeat(inputs)
        most = max(1, min(self.most_inputs // (length - 1), _STATES // states.shape[1]))
        rest = [
            self._rest(cache, states, mask, labels, example[at : at + most], label[at : at + most])
            for at in range(0, len(example), most)
        ]
        return first + torch.cat(rest).view(inputs, count)

    def _first(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        """Logits (B, V) of the first token, and the keys and values made on the way."""
        config = self._model.config
        start = config.pad_token_id
        if config.decoder_start_token_id is not None:
            start = config.decoder_start_token_id
        output = self._model(
            encoder_outputs=(states,),
            attention_mask=mask,
            decoder_input_ids=torch.full((len(states), 1), int(start), device=states.device),
            use_cache=True,
        )
        return output.logits[:, 0], output.past_key_values

    def _rest(
        self,
        cache: Any,
        states: Tensor,
        mask: Tensor,
        labels: TokenInput,
        example: Tensor,
        label: Tensor,
    ) -> Tensor:
        """(n,): log-probability of label[i]'s tokens from the second on, for input example[i]."""
        ids, kept = labels.ids[label], labels.mask[label]
        output = self._model(
            # Read for their shape only: their keys and values are in the cache.
            encoder_outputs=(states[:1].expand(len(example), -1, -1),),
            attention_mask=mask[example],
            decoder_input_ids=ids[:, :-1],
            past_key_values=_selected(cache, example),
            use_cache=True,
        )
        found = _taken(output.logits, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
        return (found * kept[:, 1:]).sum(dim=1)


def _taken(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities (…, K) of ids (…, K) under logits (…, V)."""
    return logits.gather(-1, ids) - logits.logsumexp(dim=-1, keepdim=True)


def _selected(cache: Any, example: Tensor) -> Any:
    """A cache of its own of the inputs example (n,), which may be named several times."""
    from transformers import DynamicCache, EncoderDecoderCache

    parts = DynamicCache(), DynamicCache()
    for part, whole in zip(
        parts, (cache.self_attention_cache, cache.cross_attention_cache), strict=True
    ):
        for index, layer in enumerate(whole.layers):
            part.update(layer.keys[example], layer.values[example], index)
    return EncoderDecoderCache(*parts)
