"""Which prefix of a bank each example uses: the checks every engine makes."""

from __future__ import annotations

import numpy as np

from backbones.arrays import IntArray, Rows
from backbones.bank import Bank
from backbones.description import Description
from backbones.errors import RoutingUnavailable, ShapeMismatch


def check_rows(rows: Rows | None, examples: int, prefixes: int, routers: int = 0) -> IntArray:
    """`rows` as (B,) indices into a bank of `prefixes` rows; all 0 where none are given.

    -1 - k stays as it is where there is a router k.
    Raises ShapeMismatch (wrong shape, type or range), RoutingUnavailable (no such router).
    """
    if rows is None:
        return np.zeros(examples, np.int64)
    chosen = np.asarray(rows)
    if chosen.shape != (examples,):
        raise ShapeMismatch(f"rows has shape {chosen.shape}; a batch of {examples} needs one each")
    if examples and not np.issubdtype(chosen.dtype, np.integer):
        raise ShapeMismatch(f"rows are indices into the bank, so integers, not {chosen.dtype}")
    chosen = chosen.astype(np.int64)
    lowest = int(chosen.min(initial=0))
    if lowest < -routers:
        raise RoutingUnavailable(
            f"a row of {lowest} asks router {-1 - lowest} to choose, and the bank has "
            f"{routers or 'no'} routers; name a row, or give the bank a router"
        )
    outside = chosen[chosen >= prefixes]
    if len(outside):
        raise ShapeMismatch(f"row {outside[0]} is outside the bank, which has {prefixes} rows")
    return chosen


def check_choice(
    bank: Bank | None, rows: Rows | None, examples: int, about: Description
) -> IntArray:
    """What `check_rows` makes of rows for a bank that fits; all 0 where there is no bank.

    Raises ShapeMismatch, RoutingUnavailable.
    """
    if bank is None:
        if rows is not None:
            raise ShapeMismatch("rows choose from a bank, and none was given")
        return np.zeros(examples, np.int64)
    bank.check(about)
    return check_rows(rows, examples, len(bank), len(bank.routers))


def check_indices(rows: Rows, examples: int) -> IntArray:
    """`rows` as indices of a non-empty choice among `examples`. Raises ShapeMismatch."""
    chosen = np.asarray(rows, dtype=np.int64)
    if chosen.ndim != 1 or len(chosen) == 0:
        raise ShapeMismatch(f"rows must name at least one example, got shape {chosen.shape}")
    if chosen.min() < 0 or chosen.max() >= examples:
        raise ShapeMismatch(f"rows {chosen.tolist()} reach outside the {examples} examples")
    return chosen
