"""What can be said of an image file before it is decoded."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from backbones.images import FORMATS
from serving.media_types import media_type_of
from serving.problems import invalid


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
