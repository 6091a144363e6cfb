"""A head together with the part of what was seen that it looks at, both chosen by held-out rows."""

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
from learner.heads.auto import FittedHead, fit_head
from learner.heads.calibration import Quality
from learner.heads.codec import load_head, split_tensors
from learner.heads.config import HeadConfig
from learner.heads.head import Head
from learner.heads.refit import refit_head
from learner.heads.ridge import random_projection
from learner.heads.screen import best_view, candidates
from learner.sight import Seen
from learner.view import LAST, View

GROWTH = 1.5
"""Rows by which a fit must have grown before view and kind are chosen anew."""


@lru_cache(maxsize=8)
def _projection(width: int, size: int, seed: int) -> FloatArray:
    return random_projection(width, size, seed)


@dataclass(frozen=True, eq=False)
class ViewedHead:
    """A calibrated head and its view. Immutable, numpy only.

    seed: of the random projection that members of the head share; it is made anew when loaded, so
    that a version does not carry tens of megabytes of noise.
    """

    view: View
    head: Head
    seed: int = 0

    @property
    def classes(self) -> int:
        """C, the number of columns."""
        return self.head.classes

    def log_posteriors(self, seen: Seen) -> FloatArray:
        """(N, C) calibrated log-posteriors."""
        return self.head.log_posteriors(self.view(seen))

    def restrict(self, columns: Sequence[int]) -> ViewedHead:
        """Only these columns, renormalised."""
        return replace(self, head=self.head.restrict(columns))

    def tensors(self) -> Tensors:
        """What to store, without the projection."""
        return split_tensors(self.head.tensors())[0]

    def metadata(self) -> dict[str, str]:
        """What to store beside the tensors: the head's kind, the view, how to make a projection."""
        projection = split_tensors(self.head.tensors())[1]
        shape = [] if projection is None else [*projection.shape, self.seed, _check(projection)]
        return {
            **self.head.metadata(),
            "view": str(self.view),
            "projection": json.dumps(shape),
        }

    @classmethod
    def load(
        cls,
        tensors: Mapping[str, NDArray[Any]],
        metadata: Mapping[str, str],
        projection: FloatArray | None = None,
    ) -> ViewedHead:
        """The inverse of `tensors` and `metadata`.

        Metadata without a view is of an older head: it looks at the last layer, and needs the
        projection that was stored beside it, if it had one. Raises ValueError for what is missing,
        and where the projection cannot be made again exactly.
        """
        view = View.parse(metadata["view"]) if "view" in metadata else LAST
        shape = json.loads(metadata.get("projection", "[]"))
        if not shape:
            return cls(view, load_head(tensors, metadata, projection))
        made = _projection(*shape[:3])
        if _check(made) != shape[3]:
            raise ValueError(
                f"the random projection {shape[:3]} comes out differently here than where the head "
                f"was fitted (numpy {np.__version__}); fit the head again"
            )
        return cls(view, load_head(tensors, metadata, made), shape[2])


def _check(projection: FloatArray) -> int:
    return zlib.crc32(projection.tobytes())


@dataclass(frozen=True, eq=False)
class FittedViewed:
    """A head, and how it was chosen. rows: how many it was chosen on."""

    head: ViewedHead
    fitted: FittedHead
    rows: int

    @property
    def view(self) -> View:
        return self.head.view

    @property
    def chosen(self) -> str:
        """The kind of the head."""
        return self.fitted.chosen

    @property
    def quality(self) -> Quality | None:
        """On held-out rows; None where nothing could be held out."""
        return self.fitted.quality

    @property
    def held_out(self) -> FloatArray | None:
        """(J, C) calibrated log-posteriors of the judged rows; None after a refit."""
        return self.fitted.held_out


def fit_viewed(
    seen: Seen,
    labels: IntArray,
    classes: Sequence[str],
    config: HeadConfig,
    warm: FittedViewed | None = None,
    judges: NDArray[np.bool_] | None = None,
) -> FittedViewed:
    """The best head on the best view of N examples whose labels (N,) index `classes`.

    Views are compared by a cheap head, kinds then on the best view. warm: an earlier fit, whose
    view and kind are taken over while the rows have not grown by half.
    judges: (N,) which rows may say how good a head is; None: all. The others are only fitted on.
    Raises what `fit_head` raises.
    """
    if warm is not None and _holds(warm, seen, config):
        fitted = refit_head(warm.view(seen), labels, classes, config, warm.fitted)
        return FittedViewed(ViewedHead(warm.view, fitted.head, config.seed), fitted, warm.rows)
    view = best_view(seen, np.asarray(labels), len(classes), config, judges)
    fitted = fit_head(view(seen), labels, classes, config, judges=judges)
    return FittedViewed(ViewedHead(view, fitted.head, config.seed), fitted, len(seen))


def _holds(warm: FittedViewed, seen: Seen, config: HeadConfig) -> bool:
    """Whether what an earlier fit chose may be taken over for these rows."""
    similar = 1 / GROWTH < len(seen) / warm.rows < GROWTH and warm.quality is not None
    kind = config.kind in ("auto", warm.chosen)
    return similar and kind and warm.view in candidates(seen, config)
