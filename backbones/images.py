"""Encoded image files to upright RGB pictures. Needs Pillow only, and is safe in many threads.

A file is refused by its header before a pixel of it is decoded, so that a small file which unpacks
to a huge picture costs nothing.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageOps, UnidentifiedImageError

from backbones.errors import InvalidInput

FORMATS: Final = ("PNG", "JPEG", "WEBP")
MAX_PIXELS: Final = 32_000_000
"""Width × height that is decoded where nobody says otherwise: 96 MB as RGB."""

# Pillow warns where we refuse; a limit above its own is the caller's wish.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_SIXTEEN_BITS: Final = ("I;16", "I;16B", "I;16L", "I;16N")
_BROKEN: Final = (
    *(OSError, ValueError, SyntaxError, EOFError, OverflowError, struct.error),
    *(IndexError, KeyError, TypeError, ZeroDivisionError, AttributeError, MemoryError),
)
"""What Pillow's readers are known to raise on files that are cut or lie."""


def decoded(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in a PNG, JPEG or WebP file: 8-bit RGB, turned as its EXIF data says.

    Of an animation the first frame; transparency is dropped. Raises InvalidInput, whose message
    says what is wrong with the file.
    """
    image = opened(data, max_pixels)
    with _reasons(max_pixels):
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _eight_bits(upright).convert("RGB")


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The image as a file's bytes. options: of Pillow's `save`"""
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def opened(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image as its header tells it, not decoded yet. Raises InvalidInput as `decoded`."""
    with _reasons(max_pixels):
        image = Image.open(BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > max_pixels:
        raise InvalidInput(
            f"an image of {width} x {height} pixels; at most {max_pixels} are accepted, "
            "make it smaller"
        )
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    """Of a 16-bit grey image the upper 8 bits; Pillow's own conversion would clip it to white."""
    if image.mode == "I" or image.mode in _SIXTEEN_BITS:
        return image.convert("I").point(lambda grey: grey / 256).convert("L")
    return image


@contextmanager
def _reasons(max_pixels: int) -> Iterator[None]:
    """Turn what Pillow raises into InvalidInput."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise InvalidInput(
            f"the bytes are no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
        ) from error
    except Image.DecompressionBombError as error:  # beyond Pillow's own limit: it tells no size
        raise InvalidInput(
            f"an image of far too many pixels; at most {max_pixels} are accepted, make it smaller"
        ) from error
    except _BROKEN as error:
        raise InvalidInput(f"the image is truncated or damaged: {error}") from error
