"""`fifo`, `random`, `merge_oldest`: controls that look neither at the data nor at the rows."""

from __future__ import annotations

import numpy as np

from learner.eviction.base import Evicted, EvictionContext, require_keep
from learner.rows import Rows, concat


def fifo(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """The newest rows."""
    require_keep(keep)
    return Evicted(rows.take(slice(-keep, None)), "fifo")


def random(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """Rows drawn by the context's seed, in their order."""
    require_keep(keep)
    drawn = np.random.default_rng(context.seed).permutation(len(rows))[:keep]
    return Evicted(rows.take(np.sort(drawn)), "random")


def merge_oldest(rows: Rows, keep: int, context: EvictionContext) -> Evicted:
    """The oldest rows merged pairwise with the next oldest, whatever they are, until it fits."""
    require_keep(keep)
    while len(rows) > keep:
        pairs = min(len(rows) - keep, len(rows) // 2)
        older, newer = rows.take(slice(pairs)), rows.take(slice(pairs, 2 * pairs))
        rows = concat([_mean(older, newer), rows.take(slice(2 * pairs, None))])
    return Evicted(rows, "merge_oldest")


def _mean(one: Rows, other: Rows) -> Rows:
    """Pairwise means weighted by the rows' counts, which add up."""
    bias = np.logaddexp(one.bias, other.bias)
    share = np.expand_dims(np.exp(other.bias - bias), (1, -1))
    values = one.values + share * (other.values - one.values)
    return Rows(values.astype(np.float32), bias.astype(np.float32))
