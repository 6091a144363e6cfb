"""Image files to the pixels a model sees. Needs Pillow and numpy only; safe in many threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backbones.errors import InvalidInput
from backbones.images import MAX_PIXELS, decoded
from backbones.inputs import Input, Preprocessed

Interpolation: TypeAlias = Literal["bicubic", "bilinear", "nearest", "lanczos", "box"]
CropMode: TypeAlias = Literal["center", "squash"]

_RESAMPLING: Final = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}

LONGEST: Final = 8
"""Times the shorter side, of an image that is resized whole."""


@dataclass(frozen=True)
class PixelTransform:
    """What a model's own data configuration asks for.

    size: pixels of a side of the square the model sees
    crop_share: part of the resized image's shorter side that the square keeps
    crop_mode: center keeps the shape of what it crops, squash makes the whole image square first
    tokens: that the model makes of it
    """

    size: int
    tokens: int
    crop_share: float = 1.0
    interpolation: Interpolation = "bicubic"
    crop_mode: CropMode = "center"
    max_pixels: int = MAX_PIXELS

    def __call__(self, inputs: Sequence[Input]) -> Preprocessed:
        """Field pixels: uint8 (3, size, size) for each input. Raises InvalidInput."""
        pixels = tuple(self._one(index, one) for index, one in enumerate(inputs))
        return Preprocessed({"pixels": pixels}, np.full(len(inputs), self.tokens, np.int64))

    def _one(self, index: int, one: Input) -> NDArray[np.uint8]:
        if one.image is None:
            given = "a text" if one.text is not None else "nothing"
            raise InvalidInput(f"input {index}: a vision backbone needs an image, got {given}")
        try:
            return self.square(decoded(one.image, self.max_pixels))
        except InvalidInput as error:
            raise InvalidInput(f"input {index}: {error}") from error

    def square(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resized and cropped, uint8 (3, size, size); what timm's evaluation transform gives.

        Of a very long image only the middle is resized: the rest would be cropped all the same.
        """
        if self.crop_mode == "center":
            image = _middle(image)
        resized = image.resize(self._resized(image), _RESAMPLING[self.interpolation])
        left, top = (round((side - self.size) / 2) for side in resized.size)
        cropped = resized.crop((left, top, left + self.size, top + self.size))
        return np.ascontiguousarray(np.asarray(cropped, dtype=np.uint8).transpose(2, 0, 1))

    def _resized(self, image: Image.Image) -> tuple[int, int]:
        """(width, height) before the crop."""
        shorter = math.floor(self.size / self.crop_share)
        if self.crop_mode == "squash":
            return shorter, shorter
        width, height = image.size
        if width <= height:
            return shorter, int(shorter * height / width)
        return int(shorter * width / height), shorter


def _middle(image: Image.Image) -> Image.Image:
    """The image, its longer side at most `LONGEST` times the shorter one."""
    width, height = image.size
    longest = LONGEST * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = (max(0, side - longest) // 2 for side in (width, height))
    return image.crop((left, top, width - left, height - top))
