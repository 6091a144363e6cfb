"""What can be said of an image file before it is decoded."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image

from backbones import InvalidInput
from backbones.images import FORMATS
from serving.media_types import media_type_of
from serving.problems import invalid

LONGEST: Final = 50
"""Longer side of an image, in shorter sides.

Preprocessing brings the shorter side to the backbone's size: a file of 1 x 1,000,000 pixels would
become one of hundreds of millions.
"""


def check_declared(data: bytes, declared: str | None, pointer: str) -> None:
    """Whether the file is what it is said to be. Bytes of no known kind are left to the decoder.

    declared: one of `MEDIA_TYPES`, None where nothing was said. Raises Problem invalid-content.
    """
    found = media_type_of(data)
    if declared is not None and found is not None and found != declared:
        raise invalid(
            pointer,
            f"the bytes are an {found} file, and were declared as {declared}; declare what they "
            "are (the suffix of the file may be wrong)",
        )


def check_header(data: bytes, most: int) -> None:
    """Whether an image is as large as its header says may be decoded: without decoding it.

    most: width × height. A header that cannot be read is left to the decoder. Raises InvalidInput.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:  # beyond Pillow's own limit: it tells no size
        raise InvalidInput(
            f"an image of far too many pixels; at most {most} are accepted, make it smaller"
        ) from error
    except Exception:  # noqa: BLE001  whatever is wrong with it, decoding it says so
        return
    found = f"an image of {width} x {height} pixels"
    if width * height > most:
        raise InvalidInput(f"{found}; at most {most} are accepted, make it smaller")
    if max(width, height) > LONGEST * min(width, height):
        raise InvalidInput(
            f"{found} is more than {LONGEST} times as long as it is wide; crop it to what it shows"
        )
