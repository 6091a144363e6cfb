"""Attention over prefix rows beside the text, and how far two prefixes differ in it.

A row (k, v, b) acts through the score q·k/√Dh + b alone. Its text partner enters as the log mass
and the output of the text's own attention, both recorded with the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backbones import Queries
from learner.rows import Rows

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attention:
    """One layer's attention for n queries: all fp64.

    `log_total (H, n)` of rows and text together, `weights (H, n, R)` of the rows,
    `text_weight (H, n)` of the whole text, `output (H, n, Dh)`.
    """

    log_total: Array
    weights: Array
    text_weight: Array
    output: Array


def attend(queries: Queries, rows: Rows, layer: int) -> Attention:
    """The attention of `layer`'s queries over `rows` and the text."""
    keys, values = rows.values[layer].astype(np.float64)
    q = queries.q.astype(np.float64)
    scores = q @ keys.swapaxes(1, 2) / np.sqrt(q.shape[-1]) + rows.bias[layer][:, None, :]
    log_text = queries.log_mass.astype(np.float64)
    peak = np.maximum(scores.max(axis=2, initial=-np.inf), log_text)
    log_total = peak + np.log(
        np.exp(scores - peak[:, :, None]).sum(axis=2) + np.exp(log_text - peak)
    )
    weights = np.exp(scores - log_total[:, :, None])
    text_weight = np.exp(log_text - log_total)
    output = weights @ values + text_weight[:, :, None] * queries.output
    return Attention(log_total, weights, text_weight, output)


def beside(queries: Sequence[Queries], rows: Rows) -> list[Queries]:
    """The queries with `rows` counted as text: what a queue shares the softmax with."""
    joined = []
    for layer, of_layer in enumerate(queries):
        attention = attend(of_layer, rows, layer)
        joined.append(
            replace(
                of_layer,
                log_mass=attention.log_total.astype(np.float32),
                output=attention.output.astype(np.float32),
            )
        )
    return joined


def attention_error(before: Rows, after: Rows, queries: Sequence[Queries]) -> float:
    """‖o′ − o‖ / ‖o‖ of the attention's output over all layers, heads and queries."""
    difference = total = 0.0
    for layer, of_layer in enumerate(queries):
        old = attend(of_layer, before, layer).output
        new = attend(of_layer, after, layer).output
        difference += float(((new - old) ** 2).sum())
        total += float((old**2).sum())
    return float(np.sqrt(difference / total))
