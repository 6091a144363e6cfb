"""What can be said of an image file before it is decoded."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from PIL import Image

from backbones.images import FORMATS
from serving.problems import invalid

MEDIA_TYPES: Final = ("image/png", "image/jpeg", "image/webp")
ACCEPTED: Final = "image/png, image/jpeg or image/webp"
_ALIASES: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}


def known_media_type(given: str) -> str | None:
    """The one of `MEDIA_TYPES` that is meant, None where it is none of them."""
    meant = _ALIASES.get(given, given)
    return meant if meant in MEDIA_TYPES else None


def media_type_of(data: bytes) -> str | None:
    """By the first bytes of the file; None where it is none of `MEDIA_TYPES`."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


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


def pixels_of(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header says, without decoding; None where no header can be read."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            return image.size
    except Exception:  # noqa: BLE001  whatever is wrong with it, decoding it says so
        return None
