"""What a backbone saw of each example, layer by layer. Plain numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.errors import ShapeMismatch
from backbones.prefix import as_float32


@dataclass(frozen=True, eq=False)
class LayerStates:
    """The pooled states of every layer, and the row of the bank each example went through.

    pooled: (B, L + 1, D), each the mean over the text's tokens, of length 1; index 0 is the
        embeddings' output, index l the output of layer l, the last one the feature
    rows: (B,), 0 where there was no bank
    """

    pooled: FloatArray
    rows: IntArray

    def __post_init__(self) -> None:
        pooled = as_float32("pooled states", self.pooled, 3)
        rows = np.asarray(self.rows, dtype=np.int64)
        if rows.shape != pooled.shape[:1] or pooled.shape[1] == 0:
            raise ShapeMismatch(
                "layer states have pooled (B, L + 1, D) and rows (B,), "
                f"not {pooled.shape} and {rows.shape}"
            )
        object.__setattr__(self, "pooled", pooled)
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def features(self) -> FloatArray:
        """(B, D), what `Backbone.encode` returns."""
        return self.pooled[:, -1]

    def lower(self, first_prompted: int) -> FloatArray:
        """(B, first_prompted + 1, D), the states no prefix has touched: what a router reads."""
        return self.pooled[:, : first_prompted + 1]

    def select(self, indices: Rows) -> LayerStates:
        """The examples at these positions, in this order."""
        chosen = np.asarray(indices, dtype=np.int64).reshape(-1)
        return LayerStates(self.pooled[chosen], self.rows[chosen])

    @staticmethod
    def concat(parts: Sequence[LayerStates]) -> LayerStates:
        """The examples of all parts, in order. Raises ShapeMismatch."""
        shapes = {part.pooled.shape[1:] for part in parts}
        if len(shapes) != 1:
            raise ShapeMismatch(f"layer states need one common (L + 1, D), found {sorted(shapes)}")
        return LayerStates(
            np.concatenate([part.pooled for part in parts]),
            np.concatenate([part.rows for part in parts]),
        )
