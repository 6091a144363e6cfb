"""The torch side of a prefix: what training differentiates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backbones.prefix import Prefix


@dataclass(frozen=True, eq=False)
class TensorPrefix:
    """A Prefix of tensors. keys_values: (L', 2, H, P, Dh);  bias: (L', H, P)."""

    keys_values: Tensor
    bias: Tensor

    @staticmethod
    def of(prefix: Prefix, device: str | torch.device = "cpu") -> TensorPrefix:
        """A copy of `prefix` on `device`, without gradient."""
        return TensorPrefix(
            torch.tensor(prefix.keys_values, device=device),
            torch.tensor(prefix.bias, device=device),
        )

    def prefix(self) -> Prefix:
        """The numpy copy that is stored and served."""
        return Prefix(
            self.keys_values.detach().float().cpu().numpy().copy(),
            self.bias.detach().float().cpu().numpy().copy(),
        )
