"""Prompt rows as tensors: what training differentiates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learner.rows import Rows


@dataclass(frozen=True, eq=False)
class TensorRows:
    """`Rows` of tensors: `values (L, S, H, R, W)`, `bias (L, H, R)`."""

    values: Tensor
    bias: Tensor

    @classmethod
    def of(cls, rows: Rows, device: torch.device | str = "cpu") -> TensorRows:
        """A copy without gradient."""
        return cls(torch.tensor(rows.values, device=device), torch.tensor(rows.bias, device=device))

    def rows(self) -> Rows:
        """The numpy copy that is kept."""
        return Rows(_array(self.values), _array(self.bias))


def concat_tensors(parts: Sequence[TensorRows]) -> TensorRows:
    """All rows in order."""
    return TensorRows(
        torch.cat([part.values for part in parts], dim=-2),
        torch.cat([part.bias for part in parts], dim=-1),
    )


def _array(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return tensor.detach().float().cpu().numpy().copy()
