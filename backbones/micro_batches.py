"""Split a ragged batch into the passes that cost least: padding against the price of a pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from backbones.arrays import IntArray


@dataclass(frozen=True)
class PassCost:
    """What an engine's passes cost, counted in tokens.

    budget: tokens a pass may have at most, counted as if they were padded
    overhead: what a pass costs besides its tokens, in the time one token takes
    pairs: where only attention pads: padded pairs of tokens it sees in the time one token takes;
        None: all of a pass is padded
    """

    budget: int
    overhead: int
    pairs: int | None = None

    def of_pass(self) -> int:
        """The overhead, in tokens or, where texts are packed, in pairs."""
        return self.overhead * (self.pairs or 1)

    def of_example(self, longest: IntArray) -> IntArray:
        """The price, in the same unit, of an example in a pass whose longest has this length.

        Of packed texts the tokens themselves are left out: they cost the same in every pass.
        """
        return longest if self.pairs is None else longest * longest


GPU_COST: Final = PassCost(budget=65536, overhead=4096)
"""Of any engine on a GPU. Estimated: some hundred launches, in whose time it reads thousands of
tokens."""


def micro_batches(lengths: IntArray, cost: PassCost) -> list[IntArray]:
    """Positions of the examples of each pass: the split of the least Σ (overhead + examples · one).

    Every position appears once; passes and the examples in them ascend in length. An example longer
    than the budget makes a pass of its own. The best split of what is one of these passes is that
    pass.
    """
    order = np.argsort(lengths, kind="stable")
    return [order[first:end] for first, end in _spans(lengths[order], cost)]


def _spans(ascending: IntArray, cost: PassCost) -> list[tuple[int, int]]:
    """Dynamic programming over where the last pass begins."""
    count = len(ascending)
    room = np.maximum(1, cost.budget // np.maximum(1, ascending)).tolist()
    least = np.zeros(count + 1, np.int64)  # the price of the examples before this one
    begins = np.zeros(count + 1, np.int64)  # where the last pass of those begins
    for end, price in enumerate(cost.of_example(ascending).tolist(), start=1):
        first = max(0, end - room[end - 1])
        prices = least[first:end] + price * np.arange(end - first, 0, -1)
        best = int(prices.argmin())
        begins[end], least[end] = first + best, prices[best] + cost.of_pass()
    spans, end = [], count
    while end:
        spans.append((int(begins[end]), end))
        end = int(begins[end])
    return spans[::-1]
