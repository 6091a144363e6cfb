"""T5 as a backbone: features of its encoder, and scores of labels by its decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import Bank, TokenBank
from backbones.description import Description
from backbones.errors import InvalidInput, ShapeMismatch, UnsupportedModel
from backbones.inputs import Input, Preprocessed
from backbones.passes.choice import RowChoice
from backbones.passes.context import LayerPooling, PassContext
from backbones.rows import check_rows
from backbones.text.backbone import TorchTextBackbone
from backbones.text.t5.decoder import LabelDecoder
from backbones.text.t5.encoder import T5Encoder
from backbones.text.token_input import TokenInput, gathered
from backbones.text.tokens import TextTokens

_Seen: TypeAlias = Callable[[IntArray], tuple[Tensor, Tensor]]
"""From some examples of a batch to the encoder's states (B, S, D) and their mask (B, S)."""


class T5Backbone(TorchTextBackbone):
    """A T5 behind the protocol `TokenBackbone`, which can also name labels in its own words.

    Features are the mean of the encoder's finished states over a text's tokens, of length 1.
    """

    def __init__(
        self,
        description: Description,
        tokens: TextTokens,
        encoder: T5Encoder,
        device: torch.device,
        *,
        half: bool,
        decoder: LabelDecoder | None,
    ) -> None:
        """decoder: None where the files hold an encoder only."""
        super().__init__(description, tokens, encoder, device, half=half)
        self._decoder: Final = decoder

    def label_scores(
        self,
        batch: Preprocessed,
        labels: Sequence[str],
        bank: Bank | TokenBank | None = None,
        rows: Rows | None = None,
    ) -> FloatArray:
        """Log-probabilities (B, C), fp32, that the decoder answers an input with each label.

        The sum over the label's tokens, the end of the text included: log p(label | input), so the
        probabilities of different labels add up to at most 1, and a softmax over them is the
        posterior given that the answer is one of them. The encoder runs once for each input.
        bank, rows: the prompts the encoder sees under, as in `encode` or `encode_tokens`; the
            decoder looks at a text's states, and at those of the input tokens in front of it
        Raises InvalidInput (no labels, or an empty one), ShapeMismatch, RoutingUnavailable,
        UnsupportedModel (an encoder only).
        """
        if self._decoder is None:
            raise UnsupportedModel(
                f"backbone {self.description.name!r} has no decoder to score labels with; load a "
                "whole T5 (architecture T5ForConditionalGeneration)"
            )
        asked = self._labels(labels)
        seen = self._seen_under(batch, bank, rows)
        found = np.empty((len(batch), len(labels)), np.float32)
        # As many tokens as the budget allows, and not more inputs than the decoder can take.
        least = -(-self._cost.budget // self._decoder.most_inputs)
        with torch.inference_mode():
            for part in self.passes(np.maximum(batch.lengths, least)):
                states, mask = seen(part)
                scores = self._decoder.log_probabilities(states, mask, asked)
                found[part] = scores.cpu().numpy()
        return found

    def _labels(self, labels: Sequence[str]) -> TokenInput:
        if not labels or not all(label.strip() for label in labels):
            raise InvalidInput(f"label scores need at least one label, none empty: {list(labels)}")
        ids = self.preprocess([Input(label) for label in labels])
        return self._collated(ids, np.arange(len(labels)))

    def _seen_under(
        self, batch: Preprocessed, bank: Bank | TokenBank | None, rows: Rows | None
    ) -> _Seen:
        if bank is None:
            if rows is not None:
                raise ShapeMismatch("rows choose from a bank, and none was given")
            return lambda part: self._states(batch, part, PassContext())
        bank.check(self.description)
        if isinstance(bank, TokenBank):
            chosen = check_rows(rows, len(batch), len(bank))
            return lambda part: self._behind_tokens(batch, part, bank, chosen[part])
        named = check_rows(rows, len(batch), len(bank), len(bank.routers))
        prefixes, first = self._banks.get(bank), self.description.first_prompted

        def under_prefixes(part: IntArray) -> tuple[Tensor, Tensor]:
            content = self.encoder.content(self._collated(batch, part).mask)
            pooling = LayerPooling.over(content, range(first + 1))
            choice = RowChoice(prefixes, named[part], first)
            return self._states(batch, part, choice.context(pooling))

        return under_prefixes

    def _states(
        self, batch: Preprocessed, part: IntArray, context: PassContext
    ) -> tuple[Tensor, Tensor]:
        text = self._collated(batch, part)
        return self.encoder.hidden(text.inputs(), text.mask, context), text.mask

    def _behind_tokens(
        self, batch: Preprocessed, part: IntArray, bank: TokenBank, rows: IntArray
    ) -> tuple[Tensor, Tensor]:
        text = self._collated(batch, part)
        tokens, front = gathered(bank, rows, self.device)
        mask = torch.cat([front, text.mask], dim=1)
        embedded = torch.cat([tokens, self.encoder.embedded(text.ids)], dim=1)
        return self.encoder.hidden({"inputs_embeds": embedded}, mask), mask
