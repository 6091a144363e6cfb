"""Image files, and folders of them with one sub-folder a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from serving.media_types import media_type_of
from serving.names import checked_name

IMAGE_SUFFIXES: Final = frozenset({".jpeg", ".jpg", ".png", ".webp"})
OTHER_SUFFIXES: Final = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".svg", ".tif", ".tiff"}
)
"""Of images in formats that the server does not take."""

_HEAD: Final = 16  # bytes that tell the format
_BODY_BYTES: Final = 10 * 2**20  # the server's default, where it does not say
_AROUND: Final = 1024  # bytes of JSON around the images of one call
_EACH: Final = 1024  # bytes of JSON around one image: its label, its keys


class ImageFileError(ValueError):
    """The file or folder cannot be used; the message names it and the remedy."""


class LabelledImage(NamedTuple):
    """One image and the class its folder names."""

    path: Path
    label: str


@dataclass(frozen=True)
class UploadLimits:
    """What a server takes: bytes of one body and of one image (None where it does not say)."""

    body_bytes: int
    image_bytes: int | None

    @classmethod
    def of(cls, limits: Mapping[str, Any]) -> UploadLimits:
        """limits: as in the server's `/v1/info`."""
        return cls(limits.get("body_bytes", _BODY_BYTES), limits.get("image_bytes"))

    @property
    def budget(self) -> int:
        """What the images of one call may `cost`."""
        return self.body_bytes - _AROUND

    def check(self, path: Path) -> None:
        """Whether the file may be sent at all. Raises ImageFileError."""
        size = path.stat().st_size
        if self.image_bytes is not None and size > self.image_bytes:
            raise ImageFileError(
                f"{path} has {size} bytes, and the server takes images of {self.image_bytes}; make "
                "it smaller"
            )
        if cost(path) > self.budget:
            raise ImageFileError(
                f"{path} has {size} bytes, which in base64 is more than the {self.body_bytes} "
                "bytes of body that the server takes; make it smaller"
            )


def cost(path: Path) -> int:
    """Bytes of JSON that sending the file takes, at most."""
    return (path.stat().st_size + 2) // 3 * 4 + _EACH


def check_image(path: Path) -> None:
    """Whether the file begins like an image that the server takes. Raises ImageFileError."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ImageFileError(f"{path} cannot be read: {error.strerror}") from error
    if media_type_of(head) is None:
        what = "is empty" if not head else "is no PNG, JPEG or WebP image"
        raise ImageFileError(f"{path} {what}; convert it, or take it out")


def read_folder(folder: Path) -> list[LabelledImage]:
    """All images of a folder with one sub-folder a class, named like it.

    They come in turns, one of each class, so that every part of them shows all classes; the order
    is the same for the same files. Names that begin with a dot are skipped. Raises ImageFileError.
    """
    entries = _visible(folder)
    classes = [one for one in entries if one.is_dir()]
    if not classes:
        raise ImageFileError(
            f"{folder} has no sub-folders; put the images of each class into a folder with the "
            f"name of the class, as in {folder / 'robin' / '1.jpg'}"
        )
    loose = [one for one in entries if not one.is_dir()]
    if loose:
        raise ImageFileError(
            f"{loose[0]} lies beside the folders of the classes; move it into one, or take it out"
        )
    columns = [_class(one) for one in classes]
    return [one for row in zip_longest(*columns) for one in row if one is not None]


def _class(folder: Path) -> list[LabelledImage]:
    try:
        label = checked_name(folder.name)
    except ValueError as error:
        raise ImageFileError(f"{folder}: the class cannot be named so: {error}") from error
    files = _visible(folder)
    if not files:
        raise ImageFileError(f"{folder} is a class without images; add some, or take it out")
    for file in files:
        if file.is_dir():
            raise ImageFileError(
                f"{file} is a folder inside the class {label}; name the folder that holds the "
                "folders of the classes, or move its images up"
            )
        check_image(file)
    return [LabelledImage(file, label) for file in files]


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if not one.name.startswith("."))
    except OSError as error:
        raise ImageFileError(f"{folder} cannot be read: {error.strerror}") from error
