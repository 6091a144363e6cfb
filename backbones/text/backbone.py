"""The torch engine for text, with prompts in the form of input tokens too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.bank import TokenBank
from backbones.description import Description
from backbones.errors import ShapeMismatch
from backbones.inputs import Input, Preprocessed
from backbones.passes.backbone import TorchBackbone
from backbones.rows import check_indices, check_rows
from backbones.text.encoder import TextEncoder
from backbones.text.token_input import TokenInput, gathered, tokens_in_front
from backbones.text.tokens import TextTokens


class TorchTextBackbone(TorchBackbone[TextEncoder]):
    """A Hugging Face encoder behind the protocol `TokenBackbone`.

    Features are the last layer's mean over a text's tokens, special ones included, of length 1.
    """

    def __init__(
        self,
        description: Description,
        tokens: TextTokens,
        encoder: TextEncoder,
        device: torch.device,
        *,
        half: bool,
    ) -> None:
        """half: differentiable passes compute in bf16."""
        super().__init__(description, encoder, device, half=half)
        self.tokens: Final = tokens

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        """Token ids, cut at `max_length`; a pair is one sequence. Raises InvalidInput."""
        return self.tokens(inputs)

    def encode_tokens(
        self, batch: Preprocessed, bank: TokenBank, rows: Rows | None = None
    ) -> FloatArray:
        """As `encode`, with prompts in the form of input tokens."""
        bank.check(self.description)
        chosen = check_rows(rows, len(batch), len(bank))

        def under_tokens(part: IntArray) -> Tensor:
            if not bank.lengths[chosen[part]].any():
                return self._plain(batch, part)
            tokens, mask = gathered(bank, chosen[part], self.device)
            text = self._collated(batch, part)
            return tokens_in_front(self.encoder, text, tokens, mask, self.description.layers)

        return self._in_passes(batch.lengths, under_tokens)

    def embedded_apart(self, batch: Preprocessed) -> FloatArray:
        """The plain features by the way input tokens take, with none of them (a self-check)."""

        def apart(part: IntArray) -> Tensor:
            text = self._collated(batch, part)
            none = torch.zeros(len(part), 0, self.description.width, device=self.device)
            mask = text.mask[:, :0]
            return tokens_in_front(self.encoder, text, none, mask, self.description.layers)

        return self._in_passes(batch.lengths, apart)

    def token_features(self, batch: Preprocessed, rows: Rows, tokens: Tensor) -> Tensor:
        """Features (len(rows), D), fp32, under tokens (P, D), differentiable in `tokens`."""
        if tokens.ndim != 2 or tokens.shape[1] != self.description.width:
            raise ShapeMismatch(
                f"tokens must be (P, {self.description.width}), not {tuple(tokens.shape)}"
            )
        text = self._collated(batch, check_indices(rows, len(batch)))
        dtype = torch.bfloat16 if self.half else torch.float32
        front = tokens.to(self.device, dtype).expand(len(text.ids), -1, -1)
        mask = text.mask.new_ones(front.shape[:2])
        return tokens_in_front(self._trainer(0), text, front, mask, self.description.layers)

    def _plain(self, batch: Preprocessed, part: IntArray) -> Tensor:
        text = self._collated(batch, part)
        return self.encoder.feature(self.encoder.hidden(text.inputs(), text.mask), text.mask)

    def _collated(self, batch: Preprocessed, part: IntArray) -> TokenInput:
        return TokenInput.of(self.tokens.padded(batch, part), self.device)
