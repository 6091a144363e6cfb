"""Hidden states below the first prompted layer: computed once, used in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backbones.arrays import FloatArray, IntArray, Rows
from backbones.errors import ShapeMismatch


@dataclass(frozen=True, eq=False)
class LowerStates:
    """The ragged hidden states of B examples, end to end in one tensor.

    states: (S_0 + … + S_B-1, D), fp32 or half precision;  lengths: (B,)
    pooled: (B, K, D) fp32, the pooled output of the embeddings and of every unprompted layer, of
        length 1; None where they were not kept
    """

    states: Tensor
    lengths: IntArray
    pooled: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.states.ndim != 2 or self.states.shape[0] != int(self.lengths.sum()):
            raise ShapeMismatch(
                f"states {tuple(self.states.shape)} do not hold {int(self.lengths.sum())} tokens"
            )
        if self.pooled is not None and len(self.pooled) != len(self.lengths):
            raise ShapeMismatch(
                f"pooled states {self.pooled.shape} are not those of {len(self.lengths)} examples"
            )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def nbytes(self) -> int:
        """Memory of `states`; the pooled ones are as much as K more fp32 tokens of each example."""
        return self.states.element_size() * self.states.numel()

    def padded(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """States (len(rows), S, D) and mask (len(rows), S), 1 where there is a token."""
        chosen = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[chosen]
        starts = (np.cumsum(self.lengths) - self.lengths)[chosen]
        positions = np.arange(int(lengths.max()))
        mask = positions < lengths[:, None]
        flat = np.where(mask, starts[:, None] + positions, starts[:, None])
        index = torch.from_numpy(flat).to(self.states.device)
        return self.states[index], torch.from_numpy(mask).to(self.states.device).long()

    def select(self, rows: Rows) -> LowerStates:
        """The states of these examples, in this order."""
        chosen = np.asarray(rows, dtype=np.int64)
        states, mask = self.padded(chosen) if len(chosen) else (self.states[:0], None)
        return LowerStates(
            states if mask is None else states[mask.bool()],
            self.lengths[chosen],
            None if self.pooled is None else self.pooled[chosen],
        )

    @staticmethod
    def concat(parts: Sequence[LowerStates]) -> LowerStates:
        """The examples of all parts, in order; their pooled states where all parts have them."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return LowerStates(
            torch.cat([part.states for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate(pooled) if len(pooled) == len(parts) else None,
        )
