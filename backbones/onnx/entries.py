"""What is fed to a graph, as the tensors an encoder takes. Needs torch."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from backbones.onnx.graph import Given
from backbones.passes.packing import Packing
from backbones.vision.backbone import Normalisation

_LENGTH: Final = 7
"""Tokens of the texts to trace with."""
_MANY: Final = 1 << 20
"""More tokens than anybody packs."""


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

    def __call__(self, *fed: Tensor) -> Given:
        """The keyword arguments of a plain pass, and the mask."""
        inputs = dict(zip(self.names, fed, strict=True))
        mask = inputs.pop("mask")
        return Given(inputs, mask)


class PackedEntry:
    """Token ids of texts one behind another, with their positions, and where each text stands."""

    def __init__(self, longest: int, *, types: bool) -> None:
        """longest: tokens of a text, at most."""
        self._longest: Final = longest
        self._ids: Final = ("input_ids", "position_ids", *(("token_type_ids",) if types else ()))
        self.names: Final = (*self._ids, "padded", "places", "lengths")

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Texts of unequal length, all ids 1 and every text's positions from 2 on."""
        lengths = _LENGTH - torch.arange(batch) % 3
        kept = torch.arange(_LENGTH) < lengths.unsqueeze(1)
        places = kept.flatten().nonzero().flatten()
        padded = (kept.flatten().cumsum(0) - 1).reshape(batch, _LENGTH)
        positions = 2 + places % _LENGTH
        types = (torch.zeros_like(places) for _ in self._ids[2:])
        return (torch.ones_like(places), positions, *types, padded, places, lengths)

    def dynamic(self, batch: object) -> tuple[dict[int, object], ...]:
        """(T,) for what belongs to tokens, (B, S) and (B,)."""
        tokens = torch.export.Dim("packed", min=1, max=_MANY)
        longest = torch.export.Dim("tokens", min=1, max=self._longest)
        of_tokens: list[dict[int, object]] = [{0: tokens} for _ in self._ids]
        return (*of_tokens, {0: batch, 1: longest}, {0: tokens}, {0: batch})

    def __call__(self, *fed: Tensor) -> Given:
        """One row of tokens, and how it is packed."""
        *ids, padded, places, lengths = fed
        inputs = {name: one.unsqueeze(0) for name, one in zip(self._ids, ids, strict=True)}
        mask = torch.ones_like(inputs["input_ids"])
        return Given(inputs, mask, Packing(padded, places, lengths))


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

    def __call__(self, *fed: Tensor) -> Given:
        """Normalised pixels, and a mask of ones."""
        (pixels,) = fed
        mask = torch.ones(pixels.shape[0], self._tokens, dtype=torch.long)
        return Given({"pixels": self._normalised(pixels)}, mask)
