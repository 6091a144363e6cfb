"""Views of an image that leave its class: mirrored and moved, or of poorer quality."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOVED: Final = 0.1
"""Share of a side by which an image moves at most; what comes in is a reflection."""
SQUEEZED: Final = 5.0
"""Factor by which a side is made smaller, at most, before it is made as large as it was."""
JPEG_QUALITY: Final = (30, 95)
BRIGHTNESS: Final = (0.6, 1.3)


def view(pixels: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """(3, h, w) mirrored in one of two cases, and moved by up to a tenth each way."""
    height, width = pixels.shape[1:]
    most = (round(MOVED * height), round(MOVED * width))
    padded = np.pad(pixels, ((0, 0), (most[0],) * 2, (most[1],) * 2), mode="reflect")
    top, left = (int(draw.integers(2 * distance + 1)) for distance in most)
    moved = padded[:, top : top + height, left : left + width]
    return np.ascontiguousarray(moved[..., ::-1] if draw.random() < 0.5 else moved)


def rough(pixels: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    """(3, h, w) as a poorer camera gives it: fewer pixels, stronger compression, other light.

    A router fitted on sharp images alone takes sharpness for a domain (METHODS §7).
    """
    height, width = pixels.shape[1:]
    factor = float(np.exp(draw.uniform(0, np.log(SQUEEZED))))
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image = image.resize((max(1, round(width / factor)), max(1, round(height / factor))))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=int(draw.integers(*JPEG_QUALITY, endpoint=True)))
    with Image.open(buffer) as compressed:
        image = compressed.resize((width, height))
    light = np.asarray(image, dtype=np.float32) * draw.uniform(*BRIGHTNESS)
    lit = np.clip(light, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(lit.transpose(2, 0, 1))
