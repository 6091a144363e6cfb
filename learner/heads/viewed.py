"""Heads on what was seen: a kind of head on a view of it, or two such pooled.

The default pools two: ridge regression on random features of the last layer, and logistic
regression on layers spread over the depth, and on pairs apart. They err on different rows, and
nothing has to be chosen between views (docs/heads.md).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, IntArray, Tensors
from learner.heads.auto import FittedHead, fit_head, simplest_of_the_best
from learner.heads.calibration import Quality, fit_weights
from learner.heads.codec import load_head, split_tensors
from learner.heads.config import HeadConfig, Kind
from learner.heads.head import Head, log_softmax
from learner.heads.passed import Passed
from learner.heads.refit import refit_head
from learner.heads.ridge import random_projection
from learner.sight import Seen
from learner.view import View, last_view, wide_view

GROWTH = 1.5
"""Rows by which a fit must have grown before kinds and settings are chosen anew."""


@dataclass(frozen=True, eq=False)
class ViewedHead:
    """log softmax(Σ_k w_k log p_k(view_k(seen))): calibrated members on views. Numpy only.

    seed: of the random projections; they are made anew when loaded, so that a version does not
    carry tens of megabytes of noise.
    """

    views: tuple[View, ...]
    heads: tuple[Head, ...]
    weights: tuple[float, ...] = (1.0,)
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError where the members do not belong together."""
        members = {len(self.views), len(self.heads), len(self.weights)}
        if len(members) != 1 or members == {0} or len({head.classes for head in self.heads}) != 1:
            raise ValueError(
                f"{len(self.views)} views, {len(self.heads)} heads over "
                f"{[head.classes for head in self.heads]} classes and {len(self.weights)} weights "
                "make no head"
            )

    @property
    def classes(self) -> int:
        """C, the number of columns."""
        return self.heads[0].classes

    @property
    def sees_apart(self) -> bool:
        """Whether it looks at the two texts of a pair each alone."""
        return any(view.apart for view in self.views)

    def log_posteriors(self, seen: Seen) -> FloatArray:
        """(N, C) calibrated log-posteriors."""
        members = [
            head.log_posteriors(view(seen))
            for view, head in zip(self.views, self.heads, strict=True)
        ]
        return self._pooled(members)

    def log_posteriors_of(self, passed: Passed, rows: Sequence[int]) -> FloatArray:
        """(n, C) calibrated log-posteriors of some rows of a pass."""
        members = [
            passed.log_posteriors(head, view, rows)
            for view, head in zip(self.views, self.heads, strict=True)
        ]
        return self._pooled(members)

    def _pooled(self, members: Sequence[FloatArray]) -> FloatArray:
        return members[0] if self.weights == (1.0,) else pooled(members, self.weights)

    def cooled(self, temperature: float) -> ViewedHead:
        """The same with all its log-posteriors divided by a temperature, renormalised."""
        return replace(self, weights=tuple(weight / temperature for weight in self.weights))

    def restrict(self, columns: Sequence[int]) -> ViewedHead:
        """Only these columns, renormalised."""
        return replace(self, heads=tuple(head.restrict(columns) for head in self.heads))

    def tensors(self) -> Tensors:
        """What to store, without projections."""
        return {
            f"{place}.{name}": tensor
            for place, head in enumerate(self.heads)
            for name, tensor in split_tensors(head.tensors())[0].items()
        }

    def metadata(self) -> dict[str, str]:
        """What to store beside the tensors: views, weights, kinds, how to make projections."""
        stored = {
            "views": json.dumps([str(view) for view in self.views]),
            "weights": json.dumps(self.weights),
        }
        for place, head in enumerate(self.heads):
            own = {**head.metadata(), "projection": json.dumps(self._made_by(head))}
            stored |= {f"{place}.{name}": value for name, value in own.items()}
        return stored

    def _made_by(self, head: Head) -> list[int]:
        projection = split_tensors(head.tensors())[1]
        if projection is None:
            return []
        return [*projection.shape, self.seed, _check(projection, self.seed)]

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> ViewedHead:
        """The inverse of `tensors` and `metadata`.

        Raises ValueError for what is missing, and where a projection cannot be made again exactly.
        """
        try:
            views = tuple(View.parse(view) for view in json.loads(metadata["views"]))
            weights = tuple(json.loads(metadata["weights"]))
            members = [_load(place, tensors, metadata) for place in range(len(views))]
        except KeyError as missing:
            raise ValueError(f"a head needs {missing}") from missing
        heads, seeds = zip(*members, strict=True)
        return cls(views, heads, weights, max(seeds))


def _load(
    place: int, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> tuple[Head, int]:
    """One member, and the seed of its projection."""
    start = f"{place}."
    own = {k.removeprefix(start): t for k, t in tensors.items() if k.startswith(start)}
    told = {k.removeprefix(start): t for k, t in metadata.items() if k.startswith(start)}
    shape = json.loads(told["projection"])
    if not shape:
        return load_head(own, told), 0
    width, size, seed, check = shape
    made = random_projection(width, size, seed)
    if _check(made, seed) != check:
        raise ValueError(
            f"the random projection {shape[:3]} comes out differently here than where the head "
            f"was fitted (numpy {np.__version__}); fit the head again"
        )
    return load_head(own, told, made), seed


def _check(projection: FloatArray, seed: int) -> int:
    """Its checksum: that of the usual projection is worked out once, for hundreds of heads."""
    width, size = projection.shape
    usual = projection is random_projection(width, size, seed)
    return _usual_check(width, size, seed) if usual else zlib.crc32(projection.tobytes())


@lru_cache(maxsize=8)
def _usual_check(width: int, size: int, seed: int) -> int:
    return zlib.crc32(random_projection(width, size, seed).tobytes())


def pooled(members: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """(N, C) log-posteriors of members' (N, C), weighted and renormalised."""
    return log_softmax(np.tensordot(np.asarray(weights, np.float32), np.stack(members), axes=1))


@dataclass(frozen=True, eq=False)
class FittedViewed:
    """A head, and how it was chosen. fits: of each member; rows: how many it was chosen on."""

    head: ViewedHead
    fits: tuple[FittedHead, ...]
    chosen: str
    quality: Quality | None
    rows: int

    @property
    def view(self) -> str:
        """For people."""
        return " | ".join(str(view) for view in self.head.views)

    @property
    def held_out(self) -> FloatArray | None:
        """(J, C) calibrated log-posteriors of the rows that judged, each left out of the fit that
        answers it; None where none could."""
        members = [fit.held_out for fit in self.fits if fit.held_out is not None]
        if len(members) < len(self.fits) or self.quality is None:
            return None
        return members[0] if len(members) == 1 else pooled(members, self.head.weights)


def fit_viewed(
    seen: Seen,
    labels: IntArray,
    classes: Sequence[str],
    config: HeadConfig,
    warm: FittedViewed | None = None,
    judges: NDArray[np.bool_] | None = None,
) -> FittedViewed:
    """The best head on N examples whose labels (N,) index `classes`.

    warm: an earlier fit, whose kinds, settings and calibration are taken over while the rows have
    not grown by half. judges: (N,) which rows may say how good a head is; None: all. The others
    are only fitted on. Raises what `fit_head` raises.
    """
    if warm is not None and _holds(warm, len(seen)):
        return _refitted(warm, seen, labels, classes, config)
    near, wide = last_view(seen), wide_view(seen, config.views, config.pairs)
    fits: list[tuple[View, FittedHead]] = []

    def fit(view: View, kind: Kind) -> None:
        told = replace(config, kind=kind)
        fits.append((view, fit_head(view(seen), labels, classes, told, judges=judges)))

    if config.kind not in ("auto", "mixture"):
        fit(near if config.views == "auto" else wide, config.kind)
    elif not _logistic_fits(near, seen, classes, config):
        fit(near, "ridge")
    else:
        fit(wide if _logistic_fits(wide, seen, classes, config) else near, "logistic")
        if fits[0][1].quality is not None:
            fit(near if config.views == "auto" else wide, "ridge")
    return _best(fits, config, len(seen))


def _logistic_fits(view: View, seen: Seen, classes: Sequence[str], config: HeadConfig) -> bool:
    return view.width(seen) * len(seen) * len(classes) <= config.logistic_limit


def _best(fits: Sequence[tuple[View, FittedHead]], config: HeadConfig, rows: int) -> FittedViewed:
    """The simplest of the best among the members alone and both pooled."""
    alone = [_of([member], (1.0,), member[1].quality, config, rows) for member in fits]
    if len(fits) < 2:
        return alone[0]
    (_, one), (_, other) = fits
    first, second, labels = one.held_out, other.held_out, one.truth
    assert first is not None
    assert second is not None
    assert labels is not None
    weights = tuple(float(w) for w in fit_weights(np.stack([first, second]), labels))
    quality = Quality.of(pooled([first, second], weights), labels)
    both = _of(fits, weights, quality, config, rows)
    if config.kind == "mixture":
        return both
    candidates = [*alone, both]
    place = simplest_of_the_best([one.quality for one in candidates])
    return candidates[place]


def _of(
    fits: Sequence[tuple[View, FittedHead]],
    weights: tuple[float, ...],
    quality: Quality | None,
    config: HeadConfig,
    rows: int,
) -> FittedViewed:
    views, members = zip(*fits, strict=True)
    head = ViewedHead(views, tuple(fit.head for fit in members), weights, config.seed)
    chosen = members[0].chosen if len(members) == 1 else "mixture"
    return FittedViewed(head, members, chosen, quality, rows)


def _refitted(
    warm: FittedViewed,
    seen: Seen,
    labels: IntArray,
    classes: Sequence[str],
    config: HeadConfig,
) -> FittedViewed:
    fits = tuple(
        refit_head(view(seen), labels, classes, config, fit)
        for view, fit in zip(warm.head.views, warm.fits, strict=True)
    )
    head = replace(warm.head, heads=tuple(fit.head for fit in fits))
    return replace(warm, head=head, fits=fits)


def _holds(warm: FittedViewed, rows: int) -> bool:
    """Whether what an earlier fit chose may be taken over for so many rows."""
    return warm.quality is not None and 1 / GROWTH < rows / warm.rows < GROWTH
