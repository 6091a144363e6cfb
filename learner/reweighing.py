"""Rank-one reweighing of a prompt's rows: W ∘ Q with W = u vᵀ.

That a learnable low-rank matrix reweighs the queue is published (Q-tuning, Guo et al. 2024);
that it has rank one, starts at ones and is fresh for every task is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learner.arrays import FloatArray
from learner.rows import Rows


@dataclass(frozen=True, eq=False)
class Reweighing:
    """`over_rows` u `(R,)` and `over_width` v `(L, S, H, 1, W)`, fp32."""

    over_rows: FloatArray
    over_width: FloatArray

    @classmethod
    def ones(cls, rows: Rows) -> Reweighing:
        """The identity on `rows`: what training starts from."""
        layers, parts, heads, count, width = rows.values.shape
        return cls(
            np.ones(count, dtype=np.float32),
            np.ones((layers, parts, heads, 1, width), dtype=np.float32),
        )

    def fold(self, rows: Rows) -> Rows:
        """W ∘ rows; biases stay. Raises ValueError where u does not count the rows."""
        if len(self.over_rows) != len(rows):
            raise ValueError(f"a reweighing of {len(self.over_rows)} rows meets {len(rows)} rows")
        weights = self.over_rows[:, None] * self.over_width
        return Rows(rows.values * weights, rows.bias)
