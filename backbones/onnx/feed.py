"""A bank as the arrays a graph is fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backbones.arrays import IntArray
from backbones.bank import Bank
from backbones.description import Description
from backbones.onnx.session import Fed
from backbones.router import JoinedRouters, joined


class BankFeed:
    """Made once for each bank, and for each length of prefix that passes through it need."""

    def __init__(self, bank: Bank, about: Description, kept: Callable[[NDArray[Any]], Fed]) -> None:
        """Prefixes of no row become one row that is never attended to: a graph needs an axis.

        kept: see `Session.kept`
        """
        self._kept: Final = kept
        self._bank: Final = bank if bank.length else bank.padded(1)
        self._lengths: Final = bank.lengths()
        self._routes: Final = [router.rows for router in bank.routers]
        routers = joined(bank.routers) if bank.routers else _nobody(about)
        self._fixed: Final[dict[str, Fed]] = {
            "weights": kept(np.ascontiguousarray(routers.weights)),
            "router_bias": kept(routers.bias),
            "targets": kept(routers.rows),
            "owners": kept(routers.owners),
        }
        self._prefixes: Final[dict[int, dict[str, Fed]]] = {}

    def arrays(self, rows: IntArray) -> Mapping[str, Fed]:
        """All that a pass through `rows` is fed besides them, by the graph's names.

        Prefixes are cut to the longest that these rows, or the routers they ask, can lead to.
        """
        reached = [rows[rows >= 0], *(self._routes[-1 - row] for row in np.unique(rows[rows < 0]))]
        longest = max(1, int(self._lengths[np.concatenate(reached)].max()))
        if longest not in self._prefixes:
            self._prefixes[longest] = {
                "keys_values": self._kept(
                    np.ascontiguousarray(self._bank.keys_values[..., :longest, :])
                ),
                "bias": self._kept(np.ascontiguousarray(self._bank.bias[..., :longest])),
            }
        return {**self._prefixes[longest], **self._fixed}


def _nobody(about: Description) -> JoinedRouters:
    """One route of a router that no row can ask for."""
    weights = np.zeros(((about.first_prompted + 1) * about.width, 1), np.float32)
    return JoinedRouters(weights, np.zeros(1, np.float32), np.zeros(1, np.int64), np.full(1, -1))
