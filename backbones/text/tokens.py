"""Text to token ids. Needs the tokenizers library only, and is safe to call from many threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from backbones.arrays import IntArray
from backbones.errors import InvalidInput
from backbones.inputs import Input, Preprocessed


class TextTokens:
    """Tokenises texts and pairs to ragged ids, cut at `max_length` (longest first for pairs).

    Truncation is set once, here: the shared tokenizer is never changed by a call.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, *, types: bool, pad: int) -> None:
        """types: the model tells first and second text apart; pad: the id of padding."""
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length, strategy="longest_first")
        self.tokenizer: Final = tokenizer
        self.max_length: Final = max_length
        self.types: Final = types
        self.pad: Final = pad

    def __call__(self, inputs: Sequence[Input]) -> Preprocessed:
        """Fields input_ids and, where the model wants them, token_type_ids. Raises InvalidInput."""
        texts = [_text(index, one) for index, one in enumerate(inputs)]
        encodings = self.tokenizer.encode_batch(texts)
        fields = {"input_ids": tuple(self._array(e.ids, self.pad) for e in encodings)}
        if self.types:
            fields["token_type_ids"] = tuple(self._array(e.type_ids, 0) for e in encodings)
        return Preprocessed(fields, _lengths(encodings))

    @staticmethod
    def packed(
        batch: Preprocessed, part: IntArray
    ) -> tuple[dict[str, IntArray], NDArray[np.bool_]]:
        """The fields (T,) of the examples `part` one behind another, and (B, S): where each token
        stands if all are padded to the longest."""
        lengths = batch.lengths[part]
        kept = np.arange(int(lengths.max())) < lengths[:, None]
        fields = {
            name: np.concatenate([rows[index] for index in part])
            for name, rows in batch.fields.items()
        }
        return fields, kept

    def padded(self, batch: Preprocessed, part: IntArray) -> dict[str, IntArray]:
        """The fields of the examples `part`, padded to the longest, and their mask: each (B, S)."""
        fields, kept = self.packed(batch, part)
        arrays = {"mask": kept.astype(np.int64)}
        for name, tokens in fields.items():
            arrays[name] = np.full(kept.shape, self.pad if name == "input_ids" else 0, np.int64)
            arrays[name][kept] = tokens
        return arrays

    @staticmethod
    def _array(ids: list[int], empty: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        # A tokenizer without special tokens makes nothing of "": one padding token stands for it.
        return np.array(ids or [empty], dtype=np.int64)


def _lengths(encodings: Sequence[Encoding]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([max(1, len(e.ids)) for e in encodings], dtype=np.int64)


def _text(index: int, one: Input) -> str | tuple[str, str]:
    if one.text is None:
        given = "an image" if one.image is not None else "nothing"
        raise InvalidInput(f"input {index}: a text backbone needs a text, got {given}")
    return one.text if one.text_pair is None else (one.text, one.text_pair)
