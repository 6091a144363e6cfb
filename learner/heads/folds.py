"""Stratified folds: every kind of head is judged on the same rows, left out of the same fits.

Leaving out one row at a time is not fair with few shots: the row's class then has fewer rows
than all others, and heads that rest on class means look far worse than they are. A stratified
fold takes as many rows from every class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner.arrays import IntArray

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """Rows to fit on, rows that were left out, and where the judging ones go."""

    kept: Indices
    left_out: Indices
    asked: Indices  # those of `left_out` that judge
    places: Indices  # their places among the judged rows


@dataclass(frozen=True)
class Folds:
    """A split of N rows; rows that are alone in their class are in every fit and judge nothing."""

    of_row: Indices  # (N,) the fold that leaves the row out, −1: none
    judged: Indices  # (J,) the rows that judge, rising

    @classmethod
    def stratified(
        cls,
        labels: IntArray,
        count: int,
        seed: int,
        most: int,
        judges: NDArray[np.bool_] | None = None,
    ) -> Folds:
        """`count` folds of rows with these labels (N,), at most `most` of which judge.

        judges: (N,) which rows may; None: all.
        """
        draw = np.random.Generator(np.random.Philox(seed))
        order = np.lexsort((draw.permutation(len(labels)), labels))
        sizes = np.bincount(labels)
        rank = np.empty(len(labels), np.intp)
        rank[order] = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[labels[order]]
        of_row = np.where(sizes[labels] > 1, rank % count, -1)
        judged = np.flatnonzero(of_row >= 0 if judges is None else (of_row >= 0) & judges)
        if len(judged) > most:
            judged = np.sort(draw.choice(judged, most, replace=False))
        return cls(of_row, judged)

    def __iter__(self) -> Iterator[Fold]:
        asked = self.of_row[self.judged]
        for fold in np.unique(asked):
            left_out = self.of_row == fold
            places = np.flatnonzero(asked == fold)
            yield Fold(
                np.flatnonzero(~left_out), np.flatnonzero(left_out), self.judged[places], places
            )
