"""Prompts in the form of input tokens, put in front of the embedded text.

Our choices: the text keeps its own positions, so that a prompt of any length leaves it where it
was; prompt tokens all take the position and type of the first token; the feature pools the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from backbones.arrays import IntArray
from backbones.bank import TokenBank
from backbones.passes.context import LayerContext, PassContext
from backbones.text.encoder import TextEncoder, pooled


@dataclass(frozen=True, eq=False)
class TokenInput:
    """A padded batch of texts. ids, mask: (B, S);  types: (B, S) or None."""

    ids: Tensor
    mask: Tensor
    types: Tensor | None

    def inputs(self) -> dict[str, Tensor]:
        """The keyword arguments of a plain pass."""
        types = {} if self.types is None else {"token_type_ids": self.types}
        return {"input_ids": self.ids, **types}

    @staticmethod
    def of(padded: Mapping[str, IntArray], device: torch.device) -> TokenInput:
        """What `TextTokens.padded` gives, on the device."""
        fields = {name: torch.from_numpy(array).to(device) for name, array in padded.items()}
        return TokenInput(fields["input_ids"], fields["mask"], fields.get("token_type_ids"))


def tokens_in_front(
    encoder: TextEncoder, text: TokenInput, tokens: Tensor, mask: Tensor, layers: int
) -> Tensor:
    """Features (B, D) of `text` behind tokens (B, P, D), of which mask (B, P) are real."""
    length: Final = tokens.shape[1]
    embedded = encoder.embedded(text.ids).to(tokens.dtype)
    positions = torch.arange(text.ids.shape[1], device=tokens.device) + encoder.first_position
    front = positions.new_full((length,), encoder.first_position)
    inputs = {
        "inputs_embeds": torch.cat([tokens, embedded], dim=1),
        "position_ids": torch.cat([front, positions]).expand(len(text.ids), -1),
    }
    if text.types is not None:
        inputs["token_type_ids"] = torch.nn.functional.pad(text.types, (length, 0))
    context = PassContext({layer: LayerContext() for layer in range(layers)})
    hidden = encoder.hidden(inputs, torch.cat([mask, text.mask], dim=1), context)
    return pooled(hidden[:, length:], text.mask)


def gathered(bank: TokenBank, rows: IntArray, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens (B, P, D) of each example and their mask (B, P); P is the longest in use."""
    lengths = bank.lengths[rows]
    longest = int(lengths.max())
    tokens = bank.tokens[rows, bank.tokens.shape[1] - longest :]
    mask = torch.arange(longest) >= longest - torch.tensor(lengths).unsqueeze(1)
    return torch.tensor(tokens, device=device), mask.long().to(device)
