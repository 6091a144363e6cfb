"""Texts of any length one behind another: layers see no padding, only attention does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from backbones.bank import NEVER


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the tokens of B texts stand: T in a row, or S for each text.

    padded: (B, S), which of the T stands there, any one where a text has ended
    places: (T,), where each of the T stands among the B · S;  lengths: (B,)
    """

    padded: Tensor
    places: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, 1, 1, S), to be added to scores: `NEVER` where a text has ended."""
        longest: Final = self.padded.shape[1]
        ended = torch.arange(longest) >= self.lengths.unsqueeze(1)
        return torch.zeros(self.padded.shape).masked_fill(ended, NEVER)[:, None, None]

    @property
    def shares(self) -> Tensor:
        """(1, B, T): what each token counts for the mean over each text's own."""
        texts, longest = self.padded.shape
        owners = self.places // longest
        own = owners == torch.arange(texts).unsqueeze(1)
        return (own / self.lengths.unsqueeze(1)).unsqueeze(0)

    def apart(self, packed: Tensor) -> Tensor:
        """(B, H, S, Dh) of (1, H, T, Dh)."""
        _, heads, tokens, width = packed.shape
        rows = packed.transpose(1, 2).reshape(tokens, heads * width)[self.padded.flatten()]
        return rows.reshape(*self.padded.shape, heads, width).transpose(1, 2)

    def together(self, padded: Tensor) -> Tensor:
        """(1, H, T, Dh) of (B, H, S, Dh)."""
        _, heads, _, width = padded.shape
        rows = padded.transpose(1, 2).reshape(-1, heads * width)[self.places]
        return rows.reshape(1, -1, heads, width).transpose(1, 2)
