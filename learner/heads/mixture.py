"""A head that pools other heads: a weighted sum of their log-posteriors, renormalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learner.arrays import FloatArray, Tensors
from learner.heads.head import Head, log_softmax


@dataclass(frozen=True, eq=False)
class MixtureHead:
    """log softmax(Σ_k w_k log p_k(c | z)): a logarithmic opinion pool (Heskes 1998)."""

    members: tuple[Head, ...]
    weights: FloatArray  # (K,) not negative, fitted on held-out rows

    def __post_init__(self) -> None:
        shapes = {(member.width, member.classes) for member in self.members}
        if len(shapes) != 1:
            raise ValueError(f"members must share width and classes, got {sorted(shapes)}")
        weights = self.weights
        if weights.shape != (len(self.members),) or weights.dtype != np.float32:
            raise ValueError(f"{len(self.members)} members need as many fp32 weights: {weights}")
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(f"weights must be finite, not negative, not all 0; got {weights}")

    @property
    def classes(self) -> int:
        """C, the number of columns."""
        return self.members[0].classes

    @property
    def width(self) -> int:
        """D, the width of the features."""
        return self.members[0].width

    def log_posteriors(self, features: FloatArray) -> FloatArray:
        """Calibrated log-posteriors (B, C) of features (B, D)."""
        posteriors = np.stack([member.log_posteriors(features) for member in self.members])
        return log_softmax(np.tensordot(self.weights, posteriors, axes=1))

    def restrict(self, columns: Sequence[int]) -> MixtureHead:
        """Only these columns of every member, renormalised."""
        members = tuple(member.restrict(columns) for member in self.members)
        return MixtureHead(members, self.weights)

    def tensors(self) -> Tensors:
        """`weights`, and the members' tensors under `0.`, `1.`, …"""
        own: Tensors = {"weights": self.weights}
        for place, member in enumerate(self.members):
            own |= {f"{place}.{name}": tensor for name, tensor in member.tensors().items()}
        return own

    def metadata(self) -> dict[str, str]:
        """The kind, the number of members, and theirs under `0.`, `1.`, …"""
        own = {"kind": "mixture", "members": str(len(self.members))}
        for place, member in enumerate(self.members):
            own |= {f"{place}.{key}": value for key, value in member.metadata().items()}
        return own
