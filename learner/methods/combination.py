"""One prompt out of several tasks' prompts: the same for all inputs, or weighted for each input.

That tasks are matched softly at inference is published (HLGP, Jiang et al. 2025); the score, the
cosine of the unprompted feature to each task's mean, is our choice.

Weights that differ by input cannot be served: a bank holds finished prompts, of which a request
picks one row, and the weights need the unprompted feature, a pass of its own. `encode_matched`
evaluates them, in two passes; what is served is the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from backbones import Backbone, Bank, Preprocessed
from learner.arrays import FloatArray
from learner.rows import Rows

AT_ONCE = 64
"""Inputs whose own prompts are held in memory together."""


def mean(kept: Sequence[Rows]) -> Rows:
    """Every task with the same weight. Raises ValueError where prompts differ in shape."""
    _check(kept)
    return _weighted(kept, np.full(len(kept), 1 / len(kept), dtype=np.float32))


def matched_weights(features: FloatArray, task_means: FloatArray, temperature: float) -> FloatArray:
    """Weights `(n, T)` of T tasks for each input, rows sum to 1: softmax(cosine / temperature).

    `features (n, D)` and `task_means (T, D)` are those of the plain backbone, of any length.
    """
    cosines = _directions(features) @ _directions(task_means).T
    scores = (cosines - cosines.max(axis=1, keepdims=True)) / temperature
    weights = np.exp(scores)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights, dtype=np.float32)


def combine(kept: Sequence[Rows], weights: FloatArray) -> Iterator[Rows]:
    """For each row of `weights (n, T)` the weighted sum of T prompts.

    Weights that sum to 1 keep the position term, which every prompt carries once. Raises ValueError
    where the prompts differ in shape or the weights do not count them.
    """
    _check(kept)
    if weights.ndim != 2 or weights.shape[1] != len(kept):
        raise ValueError(f"weights {weights.shape} for {len(kept)} prompts; (inputs, prompts)")
    return (_weighted(kept, row) for row in weights)


def encode_matched(
    backbone: Backbone, batch: Preprocessed, kept: Sequence[Rows], weights: FloatArray
) -> FloatArray:
    """Features `(n, D)` of every input under the prompt its own weights make: the second pass."""
    if len(weights) != len(batch):
        raise ValueError(f"{len(weights)} rows of weights for {len(batch)} inputs")
    features = np.empty((len(batch), backbone.description.width), dtype=np.float32)
    for begin in range(0, len(batch), AT_ONCE):
        part = np.arange(begin, min(begin + AT_ONCE, len(batch)))
        bank = Bank.stack([rows.to_prefix() for rows in combine(kept, weights[part])])
        features[part] = backbone.encode(batch.select(part), bank, np.arange(len(part)))
    return features


def _weighted(kept: Sequence[Rows], weights: FloatArray) -> Rows:
    values = sum(w * rows.values for w, rows in zip(weights, kept, strict=True))
    bias = sum(w * rows.bias for w, rows in zip(weights, kept, strict=True))
    return Rows(np.asarray(values, dtype=np.float32), np.asarray(bias, dtype=np.float32))


def _check(kept: Sequence[Rows]) -> None:
    shapes = {rows.values.shape for rows in kept}
    if len(shapes) != 1:
        raise ValueError(
            f"prompts of shapes {sorted(shapes)} cannot be combined; there must be some, all alike"
        )


def _directions(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: FloatArray = vectors / np.maximum(lengths, 1e-12)
    return directions
