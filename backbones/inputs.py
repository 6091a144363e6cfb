"""Raw inputs, and what preprocessing makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones.arrays import IntArray, Rows
from backbones.errors import ShapeMismatch


@dataclass(frozen=True)
class Input:
    """One thing to classify: a text, a pair of texts, or an encoded image."""

    text: str | None = None
    text_pair: str | None = None
    image: bytes | None = None


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """A ragged batch: for each field one array per example, not padded.

    fields: e.g. {"input_ids": ((S_0,), (S_1,), …), …} or {"pixels": ((3, h, w), …)}
    lengths: (B,) tokens of each example as the transformer sees them; the cost of a pass
    """

    fields: Mapping[str, tuple[NDArray[Any], ...]]
    lengths: IntArray

    def __post_init__(self) -> None:
        for name, arrays in self.fields.items():
            if len(arrays) != len(self.lengths):
                raise ShapeMismatch(
                    f"field {name!r} has {len(arrays)} examples, lengths has {len(self.lengths)}"
                )

    def __len__(self) -> int:
        return len(self.lengths)

    def select(self, indices: Rows) -> Preprocessed:
        """The examples at these positions, in this order."""
        chosen = np.asarray(indices, dtype=np.int64).reshape(-1)
        fields = {
            name: tuple(arrays[index] for index in chosen) for name, arrays in self.fields.items()
        }
        return Preprocessed(fields, self.lengths[chosen])

    def __getitem__(self, index: slice) -> Preprocessed:
        return self.select(np.arange(len(self))[index])

    @staticmethod
    def concat(batches: Sequence[Preprocessed]) -> Preprocessed:
        """Several batches as one. Raises ShapeMismatch where their fields differ."""
        if not batches:
            raise ShapeMismatch("cannot concatenate no batches; their fields would be unknown")
        names = batches[0].fields.keys()
        if any(batch.fields.keys() != names for batch in batches):
            found = [sorted(batch.fields) for batch in batches]
            raise ShapeMismatch(f"batches of different backbones do not mix: fields {found}")
        fields = {name: tuple(a for batch in batches for a in batch.fields[name]) for name in names}
        return Preprocessed(fields, np.concatenate([batch.lengths for batch in batches]))
