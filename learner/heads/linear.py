"""A head that is linear in the features: what LDA, logistic and nearest means solve to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, Tensors
from learner.heads.head import check_columns, check_features, log_softmax


@dataclass(frozen=True, eq=False)
class LinearHead:
    """log softmax((z W + b) / temperature)."""

    weights: FloatArray  # (D, C)
    bias: FloatArray  # (C,)
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_solution(self.weights, self.bias, self.temperature)

    @property
    def classes(self) -> int:
        """C, the number of columns."""
        return int(self.weights.shape[1])

    @property
    def width(self) -> int:
        """D, the width of the features."""
        return int(self.weights.shape[0])

    def scores(self, features: FloatArray) -> FloatArray:
        """Uncalibrated scores (B, C) of features (B, D)."""
        return check_features(features, self.width) @ self.weights + self.bias

    def log_posteriors(self, features: FloatArray) -> FloatArray:
        """Calibrated log-posteriors (B, C) of features (B, D)."""
        return log_softmax(self.scores(features) / np.float32(self.temperature))

    def restrict(self, columns: Sequence[int]) -> LinearHead:
        """Only these columns, renormalised."""
        chosen = check_columns(columns, self.classes)
        return LinearHead(self.weights[:, chosen], self.bias[chosen], self.temperature)

    def tensors(self) -> Tensors:
        """`weights`, `bias` and `temperature`, fp32."""
        return {
            "weights": self.weights,
            "bias": self.bias,
            "temperature": np.array([self.temperature], np.float32),
        }

    def metadata(self) -> dict[str, str]:
        """The kind."""
        return {"kind": "linear"}

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]]) -> LinearHead:
        """The inverse of `tensors`."""
        return cls(tensors["weights"], tensors["bias"], float(tensors["temperature"][0]))


def check_solution(weights: FloatArray, bias: FloatArray, temperature: float) -> None:
    """Raise ValueError unless weights (K, C ≥ 1), bias (C,) and the temperature make a head."""
    if weights.ndim != 2 or not weights.shape[1] or bias.shape != weights.shape[1:]:
        raise ValueError(
            f"a head needs weights (D, C ≥ 1) and bias (C,); got {weights.shape} and {bias.shape}"
        )
    if weights.dtype != np.float32 or bias.dtype != np.float32:
        raise ValueError(f"a head is fp32; got {weights.dtype} weights and {bias.dtype} bias")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError("a head's weights and bias must be finite")
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be finite and above 0, got {temperature}")
