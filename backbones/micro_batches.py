"""Split a ragged batch into the passes that cost least: padding against the price of a pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backbones.arrays import IntArray


@dataclass(frozen=True)
class PassCost:
    """What an engine's passes cost, counted in padded tokens.

    budget: tokens a pass may have at most, padding included
    overhead: what a pass costs besides its tokens, in the time one token takes
    """

    budget: int
    overhead: int


def micro_batches(lengths: IntArray, cost: PassCost) -> list[IntArray]:
    """Positions of the examples of each pass: the cheapest split by Σ (overhead + padded tokens).

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
    for end, length in enumerate(ascending.tolist(), start=1):
        first = max(0, end - room[end - 1])
        prices = least[first:end] + length * np.arange(end - first, 0, -1)
        best = int(prices.argmin())
        begins[end], least[end] = first + best, prices[best] + cost.overhead
    spans, end = [], count
    while end:
        spans.append((int(begins[end]), end))
        end = int(begins[end])
    return spans[::-1]
