"""Split a ragged batch into passes that waste little on padding and stay within memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from backbones.arrays import IntArray

ONE_PASS: Final = 1024
"""Padded tokens up to which a batch is not split: the calls would cost more than the padding."""

_SPREAD: Final = 2
_SLACK: Final = 8  # lengths 3 and 12 still go together


def micro_batches(lengths: IntArray, budget: int) -> list[IntArray]:
    """Positions of the examples of each pass, of similar length, at most `budget` padded tokens.

    Every position appears once. An example longer than the budget makes a pass of its own.
    """
    if len(lengths) == 0:
        return []
    if len(lengths) * int(lengths.max()) <= min(ONE_PASS, budget):
        return [np.arange(len(lengths))]
    order = np.argsort(lengths, kind="stable")
    cuts = _cuts(lengths[order], budget)
    return np.split(order, cuts)


def _cuts(ascending: IntArray, budget: int) -> list[int]:
    cuts: list[int] = []
    first = 0
    for position, length in enumerate(ascending.tolist()):
        full = (position - first + 1) * length > budget
        ragged = length > _SPREAD * int(ascending[first]) + _SLACK
        if position > first and (full or ragged):
            cuts.append(position)
            first = position
    return cuts
