"""Banks as the device sees them, converted once for each Bank object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from backbones.arrays import IntArray
from backbones.bank import Bank
from backbones.passes.context import LayerContext, LayerPrefix
from backbones.passes.routing import DeviceRouters


@dataclass(frozen=True, eq=False)
class DeviceBank:
    """A Bank of tensors. keys_values: (T, L', 2, H, P, Dh);  bias: (T, L', H, P);  lengths: (T,)

    routers: None where the bank has none
    """

    keys_values: torch.Tensor
    bias: torch.Tensor
    lengths: IntArray
    routers: DeviceRouters | None

    @staticmethod
    def of(bank: Bank, device: torch.device, dtype: torch.dtype = torch.float32) -> DeviceBank:
        """A copy of `bank` on `device`. dtype: of the prefixes; routers stay fp32"""
        return DeviceBank(
            torch.tensor(bank.keys_values, device=device, dtype=dtype),
            torch.tensor(bank.bias, device=device, dtype=dtype),
            bank.lengths(),
            DeviceRouters.of(bank.routers, device),
        )

    def layers(self, rows: IntArray, first: int) -> dict[int, LayerContext]:
        """The layer contexts of a pass whose example i uses prefix rows[i].

        Only the rows in use are gathered, and only up to the longest of them; where that has no
        rows there is no context at all, so the plain model runs.
        """
        distinct = np.unique(rows)
        length = int(self.lengths[distinct].max())
        if length == 0:
            return {}
        index = torch.from_numpy(distinct if len(distinct) == 1 else rows).to(self.bias.device)
        return layer_contexts(
            self.keys_values[..., :length, :][index], self.bias[..., :length][index], first
        )


def layer_contexts(
    keys_values: torch.Tensor, bias: torch.Tensor, first: int
) -> dict[int, LayerContext]:
    """Contexts of the layers from `first` on.

    keys_values: (B or 1, L', 2, H, P, Dh);  bias: (B or 1, L', H, P)
    """
    return {
        first + layer: LayerContext(
            LayerPrefix(
                keys_values[:, layer, 0], keys_values[:, layer, 1], bias[:, layer].unsqueeze(2)
            )
        )
        for layer in range(bias.shape[1])
    }
