"""Which view serves a head best, by ridge regression on held-out rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, IntArray
from learner.heads.config import HeadConfig
from learner.heads.folds import Folds, Indices
from learner.heads.ridge import KernelForm, best_penalty
from learner.sight import Seen
from learner.view import View, views_of

_MOST_ROWS = 2048  # compared on; the solves cost their cube
_FOLDS = 3
_PENALTIES = (0.03, 0.1, 0.3, 1.0)  # in units of the mean row energy
_TIE = 1.0  # standard errors of the difference, as between kinds


def candidates(seen: Seen, config: HeadConfig) -> list[View]:
    """The views the config allows, simplest first, each once."""
    pairs = seen.apart is not None and bool(seen.apart.any())
    known = views_of(seen.states.shape[1], pairs=pairs and config.pairs != "joined")
    if pairs and config.pairs == "apart":
        known = {name: view for name, view in known.items() if view.apart}
    if config.views != "auto":
        wanted = {config.views, f"{config.views}+apart"}
        known = {name: view for name, view in known.items() if name in wanted}
    return list(dict.fromkeys(known.values()))


def best_view(
    seen: Seen,
    labels: IntArray,
    classes: int,
    config: HeadConfig,
    judges: NDArray[np.bool_] | None = None,
) -> View:
    """The simplest view within one standard error of the best.

    Judged by dual ridge regression of one-hot labels on at most `_MOST_ROWS` rows. The error is
    that of the *difference*: the root of how many rows one view has right and the other wrong.
    Views on which `auto` would have to leave logistic regression out do not compete.
    judges: (N,) which rows may judge. Where none can, the simplest view.
    """
    views = _affordable(candidates(seen, config), seen, classes, config)
    rows = _even(labels, _MOST_ROWS)
    allowed = None if judges is None else judges[rows]
    own = labels[rows]
    folds = Folds.stratified(own, _FOLDS, config.seed, len(rows), allowed)
    if len(views) == 1 or not len(folds.judged):
        return views[0]
    targets = np.eye(classes, dtype=np.float32)[own]
    right = []
    for kernel in _kernels(views, seen.take(rows)):
        _, scores = best_penalty(KernelForm(kernel, targets), targets, folds, _PENALTIES)
        right.append(scores.argmax(axis=1) == own[folds.judged])
    best = max(right, key=lambda hits: int(hits.sum()))
    return next(
        view
        for view, hits in zip(views, right, strict=True)
        if best.sum() - hits.sum() <= _TIE * (best != hits).sum() ** 0.5
    )


def _affordable(views: list[View], seen: Seen, classes: int, config: HeadConfig) -> list[View]:
    """The views logistic regression can afford, else the simplest; all where a kind is named."""
    if config.kind != "auto":
        return views
    cost = len(seen) * classes
    kept = [v for v in views if cost * v(seen.take([0])).shape[1] <= config.logistic_limit]
    return kept or views[:1]


def _even(labels: IntArray, most: int) -> Indices:
    """At most `most` rows, as many of each class as there are, in order."""
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    rank = np.empty(len(labels), np.intp)
    rank[order] = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[labels[order]]
    return np.sort(np.argsort(rank, kind="stable")[:most])


def _kernels(views: Sequence[View], seen: Seen) -> list[FloatArray]:
    """K = X Xᵀ of each view: a sum over its parts, each of which is multiplied once."""
    layers = sorted({layer for view in views for layer in view.layers})
    grams = {layer: _gram(View((layer,))(seen)) for layer in layers}
    compared = _gram(View((), apart=True)(seen)) if any(view.apart for view in views) else None
    kernels = []
    for view in views:
        kernel = np.zeros((len(seen), len(seen)), np.float32)
        for layer in view.layers:
            kernel += grams[layer] / np.float32(len(view.layers))
        if view.apart and compared is not None:
            kernel += compared
        kernels.append(kernel)
    return kernels


def _gram(rows: FloatArray) -> FloatArray:
    product: FloatArray = rows @ rows.T
    return product
