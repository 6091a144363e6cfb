"""Which rows of a bank one pass goes through: those named, and those a router chooses in it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from backbones.arrays import IntArray
from backbones.passes.context import LayerContext, LayerPooling, PassContext
from backbones.passes.device_bank import DeviceBank


@dataclass(eq=False)
class RowChoice:
    """rows: (B,) of the bank; a row of -1 - k is replaced once router k has chosen, in the pass."""

    bank: DeviceBank
    rows: IntArray
    first_prompted: int

    def context(self, pooling: LayerPooling) -> PassContext:
        """The plan of the pass, which must pool from the embeddings' output on."""
        if (self.rows >= 0).all():
            layers = self.bank.layers(self.rows, self.first_prompted)
            return PassContext(layers, pooling=pooling)
        return PassContext(pooling=pooling, route=self._route, route_at=self.first_prompted)

    def _route(self, states: Tensor) -> dict[int, LayerContext]:
        assert self.bank.routers is not None, "rows were checked against the bank's routers"
        self.rows = self.bank.routers.choose(states, self.rows)
        return self.bank.layers(self.rows, self.first_prompted)
