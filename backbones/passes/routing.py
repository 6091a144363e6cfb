"""Routing inside a pass: a bank's routers as the device sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backbones.arrays import IntArray
from backbones.router import Router, joined


@dataclass(frozen=True, eq=False)
class DeviceRouters:
    """All routers of a bank side by side, so that one product scores every route.

    weights: (K·D, R);  bias: (R,);  rows: (R,) the bank's row of each;  owners: (R,) its router
    """

    weights: Tensor
    bias: Tensor
    rows: Tensor
    owners: Tensor

    @staticmethod
    def of(routers: Sequence[Router], device: torch.device) -> DeviceRouters | None:
        """A copy of the routers on `device`, None where there are none."""
        if not routers:
            return None
        return DeviceRouters(*(torch.tensor(array, device=device) for array in joined(routers)))

    def choose(self, states: Tensor, rows: IntArray) -> IntArray:
        """`chosen`, from and to numpy. The numbers of `Router.choose`, up to rounding."""
        chosen: IntArray = (
            self.chosen(states, torch.from_numpy(rows).to(states.device)).cpu().numpy()
        )
        return chosen

    def chosen(self, states: Tensor, rows: Tensor) -> Tensor:
        """`rows` (B,) with each -1 - k replaced by what router k says to states (B, K, D)."""
        scores = torch.addmm(self.bias, states.flatten(1), self.weights)
        others = self.owners != (-1 - rows).unsqueeze(1)
        best = self.rows[scores.masked_fill(others, -torch.inf).argmax(dim=1)]
        return torch.where(rows < 0, best, rows)
