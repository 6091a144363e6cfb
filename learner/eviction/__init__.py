"""Eviction: a full queue made smaller. Every rule has one signature, `EvictionRule`.

rule          needs     keeps the attention's output
pca           queries   to about 2 % (70 rows to 30): the default
merge_fit     queries   to about 1 %
merge         nothing   to about 5 %
pca_*         nothing   no: rows synthesised by PCA, as published
fifo, random, merge_oldest        no: controls
"""

from __future__ import annotations

from learner.eviction.attention import attention_error
from learner.eviction.base import Evicted, EvictionContext, EvictionRule
from learner.eviction.controls import fifo, merge_oldest, random
from learner.eviction.merge import merge
from learner.eviction.merge_fit import merge_fit
from learner.eviction.pca import pca
from learner.eviction.synthesis import pca_mean, pca_raw, pca_rescaled

RULES: dict[str, EvictionRule] = {
    "pca": pca,
    "merge": merge,
    "merge_fit": merge_fit,
    "pca_raw": pca_raw,
    "pca_mean": pca_mean,
    "pca_rescaled": pca_rescaled,
    "fifo": fifo,
    "random": random,
    "merge_oldest": merge_oldest,
}

WITH_QUERIES = frozenset({"pca", "merge_fit"})
"""Rules that look at queries; the others ignore them."""

__all__ = ["RULES", "WITH_QUERIES", "Evicted", "EvictionContext", "EvictionRule", "attention_error"]
