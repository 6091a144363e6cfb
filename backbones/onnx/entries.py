"""What is fed to a graph, as the tensors an encoder takes. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from backbones.vision.backbone import Normalisation

_LENGTH: Final = 7
"""Tokens of the texts to trace with."""


class TokenEntry:
    """Padded token ids, their mask and, where the model wants them, which text they belong to."""

    def __init__(self, longest: int, *, types: bool) -> None:
        """longest: tokens of a text, at most."""
        self._longest: Final = longest
        self.names: Final = ("input_ids", "mask", *(("token_type_ids",) if types else ()))

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Texts of unequal length, so that no path for unpadded batches is traced."""
        mask = torch.ones(batch, _LENGTH, dtype=torch.long)
        mask[0, _LENGTH // 2 :] = 0
        return (mask.clone(), mask, *(torch.zeros_like(mask) for _ in self.names[2:]))

    def dynamic(self, batch: object) -> tuple[dict[int, object], ...]:
        """(B, S), both of any length."""
        length = torch.export.Dim("tokens", min=1, max=self._longest)
        return tuple({0: batch, 1: length} for _ in self.names)

    def __call__(self, *fed: Tensor) -> tuple[Mapping[str, Tensor], Tensor]:
        """The keyword arguments of a plain pass, and the mask."""
        inputs = dict(zip(self.names, fed, strict=True))
        mask = inputs.pop("mask")
        return inputs, mask


class PixelEntry:
    """Images as bytes (B, 3, side, side), normalised in the graph."""

    def __init__(self, side: int, tokens: int, normalisation: Normalisation) -> None:
        """side: pixels;  tokens: that the model makes of an image."""
        self.names: Final = ("pixels",)
        self._side: Final = side
        self._tokens: Final = tokens
        self._normalised: Final = normalisation.on(torch.device("cpu"))

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Black images."""
        return (torch.zeros(batch, 3, self._side, self._side, dtype=torch.uint8),)

    def dynamic(self, batch: object) -> tuple[dict[int, object], ...]:
        """(B, 3, side, side), of which only B may change."""
        return ({0: batch},)

    def __call__(self, *fed: Tensor) -> tuple[Mapping[str, Tensor], Tensor]:
        """Normalised pixels, and a mask of ones."""
        (pixels,) = fed
        mask = torch.ones(pixels.shape[0], self._tokens, dtype=torch.long)
        return {"pixels": self._normalised(pixels)}, mask
