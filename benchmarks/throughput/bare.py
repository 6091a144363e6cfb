"""The bare engine: the backbone in a loop, and nothing around it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from backbones import Backbone, Input
from benchmarks.throughput.pace import Pace

SIZES: Final = (1, 4, 8, 16, 32, 64)
"""Batch sizes, of which the fastest counts."""


def best_size(backbone: Backbone, texts: Sequence[str], seconds: float) -> int:
    """The batch size at which most texts a second pass, each tried for so long."""
    return max(SIZES, key=lambda size: bare_loop(backbone, texts, size, seconds).texts)


def bare_loop(backbone: Backbone, texts: Sequence[str], size: int, seconds: float) -> Pace:
    """Texts through the plain model: tokenised before the clock starts, unprompted.

    Texts of like length go together, as a loop over a data set would have it; the passes come in a
    random order, so that a short time does not meet the short texts alone.
    """
    enough = -(-size // len(texts)) * list(texts)
    batch = backbone.preprocess([Input(text=text) for text in enough])
    order = batch.lengths.argsort(kind="stable")
    parts = [batch.select(order[at : at + size]) for at in range(0, len(order) - size + 1, size)]
    parts = [parts[place] for place in np.random.default_rng(0).permutation(len(parts))]
    done, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        backbone.encode(parts[(done // size) % len(parts)])
        done += size
    elapsed, used = time.perf_counter() - started, time.process_time() - cpu
    return Pace(done / elapsed, 1000 * used / done)
