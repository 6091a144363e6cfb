"""What can be said of an image file before it is decoded."""

from __future__ import annotations

from typing import Final

from backbones import InvalidInput
from backbones.images import opened
from serving.media_types import media_type_of
from serving.problems import invalid

LONGEST: Final = 50
"""Longer side of an image, in shorter sides. What is longer shows no one thing to classify."""


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
    """Whether an image is as large, and of the shape, that may be decoded: without decoding it.

    most: width × height. Raises InvalidInput.
    """
    width, height = opened(data, most).size
    if max(width, height) > LONGEST * min(width, height):
        raise InvalidInput(
            f"an image of {width} x {height} pixels is more than {LONGEST} times as long as it is "
            "wide; crop it to what it shows"
        )
