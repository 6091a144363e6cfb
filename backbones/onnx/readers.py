"""How inputs are read and fed, without torch: what `preprocess` gives as padded arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from backbones.arrays import IntArray
from backbones.inputs import Input, Preprocessed
from backbones.text.tokens import TextTokens
from backbones.vision.pixels import PixelTransform

_TOKENIZER: Final = "tokenizer.json"


class Reader(Protocol):
    """Reads inputs, and puts some of them together to what a graph is fed."""

    def __call__(self, inputs: Sequence[Input]) -> Preprocessed:
        """Raises InvalidInput."""
        ...

    @property
    def packs(self) -> bool:
        """Whether what is fed is packed instead of padded."""
        ...

    def fed(self, batch: Preprocessed, part: IntArray) -> dict[str, NDArray[Any]]:
        """The examples `part` of `batch` put together, by the graph's names."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Write its files; returns what is needed besides to make it again."""
        ...


class TextReader:
    """Texts to padded token ids."""

    packs: bool = False

    def __init__(self, tokens: TextTokens) -> None:
        self._tokens: Final = tokens

    def __call__(self, inputs: Sequence[Input]) -> Preprocessed:
        """Token ids, cut at the greatest length. Raises InvalidInput."""
        return self._tokens(inputs)

    def fed(self, batch: Preprocessed, part: IntArray) -> dict[str, NDArray[Any]]:
        """input_ids, mask and perhaps token_type_ids, each (B, S)."""
        return dict(self._tokens.padded(batch, part))

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer as one file."""
        self._tokens.tokenizer.save(str(folder / _TOKENIZER))
        tokens = self._tokens
        return {"max_length": tokens.max_length, "types": tokens.types, "pad": tokens.pad}

    @staticmethod
    def load(folder: Path, saved: Mapping[str, Any]) -> TextReader:
        """What `save` wrote, of this class or of `PackedTextReader`."""
        options = dict(saved)
        first = options.pop("first_position", None)
        tokens = TextTokens(Tokenizer.from_file(str(folder / _TOKENIZER)), **options)
        return TextReader(tokens) if first is None else PackedTextReader(tokens, first)


class PackedTextReader(TextReader):
    """Texts to token ids one behind another."""

    packs = True

    def __init__(self, tokens: TextTokens, first_position: int) -> None:
        """first_position: the position id of a text's first token."""
        super().__init__(tokens)
        self._first_position: Final = first_position

    def fed(self, batch: Preprocessed, part: IntArray) -> dict[str, NDArray[Any]]:
        """input_ids, position_ids and perhaps token_type_ids, each (T,); padded, places, lengths:
        see `backbones.passes.packing.Packing`."""
        fields, kept = self._tokens.packed(batch, part)
        where = {
            "padded": kept.cumsum().reshape(kept.shape) - 1,
            "places": np.flatnonzero(kept),
            "lengths": batch.lengths[part],
        }
        return {**fields, "position_ids": self._positions(kept, fields["input_ids"]), **where}

    def _positions(self, kept: NDArray[np.bool_], ids: IntArray) -> IntArray:
        """(T,). RoBERTa counts no padding tokens, and a text may name some: each is at position
        padding, as its id is; see transformers' `create_position_ids_from_input_ids`."""
        padding = self._first_position - 1
        counted = np.zeros(kept.shape, np.int64)
        counted[kept] = ids != padding
        positions: IntArray = padding + (counted.cumsum(axis=1) * counted)[kept]
        return positions

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer as one file."""
        return {**super().save(folder), "first_position": self._first_position}


class ImageReader:
    """Images to pixels."""

    packs: Final = False

    def __init__(self, transform: PixelTransform) -> None:
        self._transform: Final = transform

    def __call__(self, inputs: Sequence[Input]) -> Preprocessed:
        """Decoded, resized and cropped. Raises InvalidInput."""
        return self._transform(inputs)

    def fed(self, batch: Preprocessed, part: IntArray) -> dict[str, NDArray[Any]]:
        """pixels (B, 3, side, side), bytes."""
        return {"pixels": np.stack([batch.fields["pixels"][index] for index in part])}

    def save(self, folder: Path) -> dict[str, Any]:
        """What the transform says; the greatest size of an image is chosen anew by who loads."""
        saved = asdict(self._transform)
        del saved["max_pixels"]
        return saved
