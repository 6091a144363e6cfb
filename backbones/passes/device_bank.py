"""Banks as the device sees them, converted once for each Bank object."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import Final

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
    def of(bank: Bank, device: torch.device) -> DeviceBank:
        """A copy of `bank` on `device`."""
        return DeviceBank(
            torch.tensor(bank.keys_values, device=device),
            torch.tensor(bank.bias, device=device),
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


class DeviceBanks:
    """Converts each Bank once, for as long as somebody holds it."""

    def __init__(self, device: torch.device) -> None:
        self._device: Final = device
        self._lock: Final = threading.Lock()
        self._known: Final[weakref.WeakKeyDictionary[Bank, DeviceBank]] = (
            weakref.WeakKeyDictionary()
        )

    def __len__(self) -> int:
        return len(self._known)

    def get(self, bank: Bank) -> DeviceBank:
        """The copy of `bank` on the device."""
        with self._lock:
            found = self._known.get(bank)
            if found is None:
                found = self._known[bank] = DeviceBank.of(bank, self._device)
            return found
