"""Labelled images in one numpy file, without pickle.

blob     uint8 (bytes,), encoded images back to back
offsets  int (N + 1,); image i is blob[offsets[i]:offsets[i + 1]]
label    int (N,), index into `classes`
split    uint8 (N,), 0 train, 1 test; others are passed over
classes  str (C,), their names
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from backbones import IntArray

TRAIN, TEST = 0, 1

_FIELDS = ("blob", "offsets", "label", "split", "classes")


class BadImageSet(ValueError):
    """A file that is not of this form."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N encoded images, their labels and their parts. See the module for shapes."""

    blob: NDArray[np.uint8]
    offsets: IntArray
    label: IntArray
    split: IntArray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises BadImageSet."""
        count = len(self.label)
        if len(self.split) != count or len(self.offsets) != count + 1:
            raise BadImageSet(
                f"{count} labels, {len(self.split)} splits and {len(self.offsets)} offsets do not "
                "belong together: each image has one label, one split, and there is one more offset"
            )
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.blob):
            raise BadImageSet(f"the offsets do not span the blob's {len(self.blob)} bytes")
        if (np.diff(self.offsets) <= 0).any():
            raise BadImageSet("the offsets do not rise, so an image would have no bytes")
        if count and not 0 <= self.label.min() <= self.label.max() < len(self.classes):
            raise BadImageSet(f"a label lies outside the {len(self.classes)} classes")

    @classmethod
    def load(cls, path: Path) -> ImageSet:
        """Read one file. Raises BadImageSet."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                fields = {name: arrays[name] for name in _FIELDS}
        except (KeyError, ValueError, BadZipFile, EOFError) as error:
            raise BadImageSet(f"expected the arrays {', '.join(_FIELDS)}: {error}") from error
        return cls(
            blob=fields["blob"].astype(np.uint8, copy=False),
            offsets=fields["offsets"].astype(np.int64),
            label=fields["label"].astype(np.int64),
            split=fields["split"].astype(np.int64),
            classes=tuple(str(name) for name in fields["classes"]),
        )

    def part(self, split: int) -> list[tuple[bytes, str]]:
        """The (encoded image, class) rows of one part, in the file's order."""
        return [
            (
                self.blob[self.offsets[i] : self.offsets[i + 1]].tobytes(),
                self.classes[self.label[i]],
            )
            for i in np.flatnonzero(self.split == split).tolist()
        ]
