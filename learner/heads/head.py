"""What every head can do, whatever it was fitted by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, Tensors


class Head(Protocol):
    """A solved classifier on the backbone's features. Immutable, numpy only, safe to share."""

    @property
    def classes(self) -> int:
        """C, the number of columns."""

    @property
    def width(self) -> int:
        """D, the width of the features."""

    def log_posteriors(self, features: FloatArray) -> FloatArray:
        """Features (B, D) fp32 to calibrated log-posteriors (B, C) fp32; rows sum to one in exp.

        Raises ValueError for features of another width.
        """

    def restrict(self, columns: Sequence[int]) -> Head:
        """The head over these columns only, in this order, renormalised: a task's own classes."""

    def tensors(self) -> Tensors:
        """What to store, fp32; `load_head` is the inverse."""

    def metadata(self) -> dict[str, str]:
        """What to store beside the tensors: the kind of head, and of its members."""


def log_softmax(scores: NDArray[Any]) -> FloatArray:
    """Scores (B, C) to log-probabilities fp32, stable for any finite scores."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted, np.float32)


def check_features(features: FloatArray, width: int) -> FloatArray:
    """Features as (B, width) fp32; raises ValueError for another shape."""
    if features.ndim != 2 or features.shape[1] != width:
        raise ValueError(
            f"this head reads features (B, {width}), got {features.shape};"
            " was it fitted for another backbone?"
        )
    return features.astype(np.float32, copy=False)


def check_columns(columns: Sequence[int], classes: int) -> list[int]:
    """Columns as a list; raises ValueError where there is none or one is out of range."""
    chosen = [int(column) for column in columns]
    if not chosen or min(chosen) < 0 or max(chosen) >= classes:
        raise ValueError(f"columns must be some of 0…{classes - 1}, got {chosen[:5]}")
    return chosen
