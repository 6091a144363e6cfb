"""What a backbone saw in some examples: the pooled state of every layer. Plain numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Seen:
    """N examples.

    states: (N, L + 1, D), each of length 1; index 0 is the embeddings' output, the last one the
    features. apart: (N, 2, D), the features of a pair's two texts each alone, zeros for what is no
    pair; None where no example is one.
    """

    states: FloatArray
    apart: FloatArray | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the two do not describe the same examples."""
        if self.states.ndim != 3:
            raise ValueError(f"states must be (N, L + 1, D), got {self.states.shape}")
        count, _, width = self.states.shape
        if self.apart is not None and self.apart.shape != (count, 2, width):
            raise ValueError(
                f"states {self.states.shape} need pairs apart as {(count, 2, width)}, "
                f"got {self.apart.shape}"
            )

    def __len__(self) -> int:
        return len(self.states)

    @property
    def features(self) -> FloatArray:
        """(N, D), the last layer's."""
        return self.states[:, -1]

    def lower(self, first_prompted: int) -> FloatArray:
        """(N, first_prompted + 1, D), the states that no prompt has touched."""
        return self.states[:, : first_prompted + 1]

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Seen:
        """Some of the examples, in this order."""
        chosen = np.asarray(indices, dtype=np.intp)
        return Seen(self.states[chosen], None if self.apart is None else self.apart[chosen])

    @staticmethod
    def concat(parts: Sequence[Seen]) -> Seen:
        """The examples of all parts, in order. Raises ValueError on no parts."""
        if not parts:
            raise ValueError("nothing to concatenate: what was seen of no examples has no shape")
        states = np.concatenate([part.states for part in parts])
        if all(part.apart is None for part in parts):
            return Seen(states)
        width = states.shape[2]
        apart = [
            np.zeros((len(part), 2, width), np.float32) if part.apart is None else part.apart
            for part in parts
        ]
        return Seen(states, np.concatenate(apart))
