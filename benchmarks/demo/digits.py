"""Handwritten digits that come with scikit-learn, dealt into tasks and written as image files.

They are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
1998, UCI repository): 1797 digits of 8 × 8 pixels with 17 shades, by 13 people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from backbones import FloatArray, IntArray
from backbones.images import encoded

LABELS: Final = tuple("0123456789")
A_TASK: Final = 2
"""Digits of one task."""
SIDE: Final = 64
"""Pixels of an image file's side."""
LEARN: Final = "digits"
TEST: Final = "test"
"""Folders of the images."""
_DARKEST: Final = 16.0


class OtherFiles(ValueError):
    """A folder for images holds files that are none of this deal."""


@dataclass(frozen=True)
class Digit:
    """One image of the data set. row: its place there;  path: of its file, below the demo's."""

    row: int
    label: str
    path: Path


@dataclass(frozen=True)
class Deal:
    """Which images are learnt, by task in the order of learning, and which are the test."""

    tasks: Mapping[str, Sequence[Digit]]
    test: Sequence[Digit]

    def all(self) -> list[Digit]:
        """Every image, each once."""
        return [*(digit for task in self.tasks.values() for digit in task), *self.test]


def deal(seed: int, shots: int, tests: int) -> Deal:
    """Tasks of two digits and a test of all, drawn by the seed; no image is in two places.

    shots, tests: images of each digit to learn and to be asked about
    """
    draw = np.random.default_rng(seed)
    _, labels = _data()
    tasks: dict[str, list[Digit]] = {}
    test: list[Digit] = []
    order = draw.permutation(len(LABELS)).reshape(-1, A_TASK)
    for kinds in np.sort(order, axis=1).tolist():
        task = "-".join(LABELS[kind] for kind in kinds)
        rows = {LABELS[k]: draw.permutation(np.flatnonzero(labels == k)).tolist() for k in kinds}
        tasks[task] = _files(Path(LEARN, task), {k: of[:shots] for k, of in rows.items()})
        end = shots + tests
        test += _files(Path(TEST), {k: of[shots:end] for k, of in rows.items()})
    return Deal(tasks, test)


def write(dealt: Deal, folder: Path) -> None:
    """Every image as a PNG file below `folder`. Raises OtherFiles before anything is written."""
    digits, (images, _) = dealt.all(), _data()
    _check_others(folder, {folder / digit.path for digit in digits})
    for digit in digits:
        path = folder / digit.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(images[digit.row]))


def _files(folder: Path, rows: Mapping[str, Sequence[int]]) -> list[Digit]:
    return [
        Digit(row, label, folder / label / f"{row}.png") for label, of in rows.items() for row in of
    ]


def _check_others(folder: Path, expected: set[Path]) -> None:
    there = {path for part in (LEARN, TEST) for path in (folder / part).rglob("*.png")}
    others = sorted(there - expected)
    if others:
        raise OtherFiles(
            f"{others[0]} is none of this demo's images (of another --seed?); name another --out, "
            f"or remove {folder / LEARN} and {folder / TEST}"
        )


def _png(image: FloatArray) -> bytes:
    """Dark ink on white paper, enlarged smoothly. image: (8, 8), ink from 0 to 16"""
    ink = np.clip(255 - image * (255 / _DARKEST), 0, 255).astype(np.uint8)
    large = Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return encoded(large, "PNG")


def _data() -> tuple[FloatArray, IntArray]:
    """Images (1797, 8, 8), ink from 0 to 16, and which digit each is (1797,)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images.astype(np.float32), found.target.astype(np.int64)
