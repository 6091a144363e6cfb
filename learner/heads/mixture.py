"""A head that is the mean of other heads' calibrated log-posteriors, renormalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learner.arrays import FloatArray, Tensors
from learner.heads.head import Head, log_softmax


@dataclass(frozen=True, eq=False)
class MixtureHead:
    """log softmax(mean over members of log p(c | z) / temperature)."""

    members: tuple[Head, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        shapes = {(member.width, member.classes) for member in self.members}
        if len(shapes) != 1:
            raise ValueError(f"members must share width and classes, got {sorted(shapes)}")
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature must be above 0, got {self.temperature}")

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
        return log_softmax(posteriors.mean(axis=0) / np.float32(self.temperature))

    def restrict(self, columns: Sequence[int]) -> MixtureHead:
        """Only these columns of every member, renormalised."""
        members = tuple(member.restrict(columns) for member in self.members)
        return MixtureHead(members, self.temperature)

    def tensors(self) -> Tensors:
        """`temperature`, and the members' tensors under `0.`, `1.`, …"""
        own: Tensors = {"temperature": np.array([self.temperature], np.float32)}
        for place, member in enumerate(self.members):
            own |= {f"{place}.{name}": tensor for name, tensor in member.tensors().items()}
        return own

    def metadata(self) -> dict[str, str]:
        """The kind, the number of members, and theirs under `0.`, `1.`, …"""
        own = {"kind": "mixture", "members": str(len(self.members))}
        for place, member in enumerate(self.members):
            own |= {f"{place}.{key}": value for key, value in member.metadata().items()}
        return own
