"""A bank as the arrays a graph is fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones.bank import Bank
from backbones.description import Description
from backbones.router import JoinedRouters, joined


@dataclass(frozen=True, eq=False)
class BankFeed:
    """arrays: by the names of `backbones.onnx.exported.INPUTS`, all but rows."""

    arrays: Mapping[str, NDArray[Any]]

    @staticmethod
    def of(bank: Bank, about: Description) -> BankFeed:
        """Prefixes of no row become one row that is never attended to: a graph needs an axis."""
        fed = bank if bank.length else bank.padded(1)
        routers = joined(fed.routers) if fed.routers else _nobody(about)
        return BankFeed(
            {
                "keys_values": np.ascontiguousarray(fed.keys_values),
                "bias": np.ascontiguousarray(fed.bias),
                "weights": np.ascontiguousarray(routers.weights),
                "router_bias": routers.bias,
                "targets": routers.rows,
                "owners": routers.owners,
            }
        )


def _nobody(about: Description) -> JoinedRouters:
    """One route of a router that no row can ask for."""
    weights = np.zeros(((about.first_prompted + 1) * about.width, 1), np.float32)
    return JoinedRouters(weights, np.zeros(1, np.float32), np.zeros(1, np.int64), np.full(1, -1))
