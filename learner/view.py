"""Which part of what was seen a head looks at."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from learner.arrays import FloatArray
from learner.sight import Seen

DIFFERENCE, PRODUCT = 3.0, 10.0
"""Scales of |u − v| and u ∘ v, so that both vary about as much as a feature (METHODS §7)."""


@dataclass(frozen=True)
class View:
    """Some layers side by side; `apart` adds how the two texts of a pair differ, each alone.

    layers: indices into `Seen.states`, 0 being the embeddings' output, −1 the last whatever the
    depth; may be empty with `apart`.
    """

    layers: tuple[int, ...]
    apart: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError where there is nothing to look at."""
        if not self.layers and not self.apart:
            raise ValueError("a view needs a layer, or pairs apart")

    def __call__(self, seen: Seen) -> FloatArray:
        """(N, F) fp32: the layers' states divided by the root of their number, [|u−v|, u∘v] apart.

        Raises ValueError for a layer that is not there.
        """
        count, depth, _ = seen.states.shape
        if self.layers and not -1 <= min(self.layers) <= max(self.layers) < depth:
            raise ValueError(f"layers {self.layers} are not all among the {depth} that were seen")
        parts = []
        if self.layers:
            chosen = seen.states[:, list(self.layers)] / np.float32(len(self.layers) ** 0.5)
            parts.append(chosen.reshape(count, -1))
        if self.apart:
            parts.append(_compared(seen))
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return np.ascontiguousarray(whole, dtype=np.float32)

    def width(self, seen: Seen) -> int:
        """F, the columns of the view."""
        return (len(self.layers) + 2 * self.apart) * int(seen.states.shape[2])

    def __str__(self) -> str:
        """For people and for `parse`."""
        return json.dumps([*self.layers, *(["apart"] if self.apart else [])])

    @staticmethod
    def parse(text: str) -> View:
        """The inverse of `str`. Raises ValueError."""
        entries = json.loads(text)
        layers = tuple(int(entry) for entry in entries if entry != "apart")
        return View(layers, "apart" in entries)


def _compared(seen: Seen) -> FloatArray:
    """(N, 2D): [|u − v|, u ∘ v], scaled; zeros for what is no pair."""
    count, _, width = seen.states.shape
    if seen.apart is None:
        return np.zeros((count, 2 * width), np.float32)
    first, second = seen.apart[:, 0], seen.apart[:, 1]
    difference, product = np.abs(first - second), first * second
    return np.concatenate([DIFFERENCE * difference, PRODUCT * product], axis=1)


LAST = View((-1,))
"""The last layer, whatever the depth."""


def last_view(seen: Seen) -> View:
    """The features."""
    return View((seen.states.shape[1] - 1,))


def wide_view(seen: Seen, layers: str = "auto", pairs: str = "auto") -> View:
    """Layers spread over the depth, a third apart, and pairs apart where there are any.

    layers: auto, or last, upper, all. pairs: auto; joined: not apart; apart: nothing else.
    """
    top = seen.states.shape[1] - 1
    known = {
        "auto": tuple(sorted({-(-top // 3), -(-2 * top // 3), top})),
        "last": (top,),
        "upper": tuple(range(min(1 + top // 2, top), top + 1)),
        "all": tuple(range(top + 1)),
    }
    apart = pairs != "joined" and seen.apart is not None and bool(seen.apart.any())
    return View(() if apart and pairs == "apart" else known[layers], apart)
