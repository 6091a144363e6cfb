"""The kinds of image files that are taken, and what lines of JSON are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEDIA_TYPES: Final = ("image/png", "image/jpeg", "image/webp")
ACCEPTED: Final = "image/png, image/jpeg or image/webp"
LINES: Final = ("application/x-ndjson", "application/jsonl")
"""One JSON value a line: two names in use, neither of them registered."""
_ALIASES: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}


def media_type_sent(headers: Mapping[str, str]) -> str:
    """Of a request's body: its `Content-Type` without parameters, in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


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
