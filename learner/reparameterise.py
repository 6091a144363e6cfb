"""Train rows through a residual two-layer network; fold it away afterwards.

Published (Q-tuning, Guo et al. 2024) as an option; width and zero start are our choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learner.rows import Rows


class RowNetwork(nn.Module):
    """row + U·GELU(V·row), a row flattened to `(L·S·H·W,)`; U is zero at the start."""

    def __init__(self, rows: Rows, hidden: int, seed: int) -> None:
        """For rows of the shape of `rows`; equal seeds give equal weights."""
        super().__init__()
        layers, parts, heads, _, width = rows.values.shape
        size = layers * parts * heads * width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._down, self._up = nn.Linear(size, hidden), nn.Linear(hidden, size)
        nn.init.zeros_(self._up.weight)
        nn.init.zeros_(self._up.bias)

    def forward(self, values: Tensor) -> Tensor:
        """`values (L, S, H, R, W)` → the same shape."""
        moved = values.movedim(-2, 0)
        change: Tensor = self._up(nn.functional.gelu(self._down(moved.flatten(1))))
        return values + change.reshape(moved.shape).movedim(0, -2)
