"""A head that is linear in a fixed random projection of the features (after RanPAC, METHODS §1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, Tensors
from learner.heads.head import check_columns, check_features, log_softmax
from learner.heads.linear import check_solution


@dataclass(frozen=True, eq=False)
class ProjectedHead:
    """log softmax((relu(z R) W + b) / temperature).

    The projection R is the same in every version, so it is stored once: see `split_tensors`.
    """

    projection: FloatArray  # (D, M)
    weights: FloatArray  # (M, C)
    bias: FloatArray  # (C,)
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_solution(self.weights, self.bias, self.temperature)
        if self.projection.ndim != 2 or self.projection.shape[1] != self.weights.shape[0]:
            raise ValueError(
                f"weights {self.weights.shape} need a projection (D, {self.weights.shape[0]}),"
                f" got {self.projection.shape}"
            )

    @property
    def classes(self) -> int:
        """C, the number of columns."""
        return int(self.weights.shape[1])

    @property
    def width(self) -> int:
        """D, the width of the features."""
        return int(self.projection.shape[0])

    def scores(self, features: FloatArray) -> FloatArray:
        """Uncalibrated scores (B, C) of features (B, D)."""
        return self.hidden(features) @ self.weights + self.bias

    def hidden(self, features: FloatArray) -> FloatArray:
        """relu(z R) (B, M) of features (B, D)."""
        return project(check_features(features, self.width), self.projection)

    def log_posteriors(self, features: FloatArray) -> FloatArray:
        """Calibrated log-posteriors (B, C) of features (B, D)."""
        return self.log_posteriors_of(self.hidden(features))

    def log_posteriors_of(self, hidden: FloatArray) -> FloatArray:
        """The same of what `hidden` returned."""
        return log_softmax((hidden @ self.weights + self.bias) / np.float32(self.temperature))

    def restrict(self, columns: Sequence[int]) -> ProjectedHead:
        """Only these columns, renormalised; the projection is shared, not copied."""
        chosen = check_columns(columns, self.classes)
        return ProjectedHead(
            self.projection, self.weights[:, chosen], self.bias[chosen], self.temperature
        )

    def tensors(self) -> Tensors:
        """`projection`, `weights`, `bias` and `temperature`, fp32."""
        return {
            "projection": self.projection,
            "weights": self.weights,
            "bias": self.bias,
            "temperature": np.array([self.temperature], np.float32),
        }

    def metadata(self) -> dict[str, str]:
        """The kind."""
        return {"kind": "projected"}

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]]) -> ProjectedHead:
        """The inverse of `tensors`."""
        return cls(
            tensors["projection"],
            tensors["weights"],
            tensors["bias"],
            float(tensors["temperature"][0]),
        )


def project(features: FloatArray, projection: FloatArray) -> FloatArray:
    """relu(z R): features (B, D) through the projection (D, M) to (B, M)."""
    hidden: FloatArray = features @ projection
    np.maximum(hidden, np.float32(0), out=hidden)
    return hidden
