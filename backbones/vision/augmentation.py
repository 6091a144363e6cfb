"""Views of an image that leave its class: mirrored, and moved a little."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MOVED: Final = 0.1
"""Share of a side by which an image moves at most; what comes in is a reflection."""


def view(pixels: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """(3, h, w) mirrored in one of two cases, and moved by up to a tenth each way."""
    height, width = pixels.shape[1:]
    most = (round(MOVED * height), round(MOVED * width))
    padded = np.pad(pixels, ((0, 0), (most[0],) * 2, (most[1],) * 2), mode="reflect")
    top, left = (int(draw.integers(2 * distance + 1)) for distance in most)
    moved = padded[:, top : top + height, left : left + width]
    return np.ascontiguousarray(moved[..., ::-1] if draw.random() < 0.5 else moved)
