"""Which backbone the demo looks through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.demo import small_vit
from benchmarks.demo.options import Options

AT_HAND: Final = Path("../shared/data/vit_tiny_patch16_224")
"""A ViT-Ti/16 of ImageNet; beside a clone of this repository on its developers' machines."""
AT_HAND_SIZE: Final = 96
"""Pixels: the digits have 8 x 8, so its own 224 would cost time and show nothing more."""
SMALL: Final = "small"
SMALL_FOLDER: Final = "small-vit"


@dataclass(frozen=True)
class Sight:
    """A backbone by name or folder, and what people call it.

    image_size: pixels of a side, None for its own
    """

    backbone: str
    image_size: int | None
    called: str

    def flags(self) -> list[str]:
        """Of `perennial serve`."""
        size = [] if self.image_size is None else ["--image-size", str(self.image_size)]
        return ["--backbone", self.backbone, *size]

    @property
    def store(self) -> str:
        """A folder's name, another for each backbone: a store belongs to the one it learnt by."""
        size = "" if self.image_size is None else f"-{self.image_size}"
        return f"store-{Path(self.backbone).name}{size}"


def chosen(options: Options, console: Console) -> Sight:
    """What was asked for; else the ViT at hand; else the toy, pre-trained now if need be."""
    backbone, size = options.backbone, options.image_size
    if backbone is None and AT_HAND.is_dir():
        return Sight(str(AT_HAND), size or AT_HAND_SIZE, AT_HAND.name)
    if backbone is not None and backbone != SMALL:
        return Sight(backbone, size, Path(backbone).name)
    folder = options.out / SMALL_FOLDER
    if not small_vit.is_there(folder, options.seed, options.steps):
        _make(folder, options, console)
    return Sight(str(folder), size, "a toy ViT, pre-trained on printed letters")


def _make(folder: Path, options: Options, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console.print("The backbone is a toy: a small ViT, pre-trained on printed letters now (once).")
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("pre-training", total=options.steps)
        small_vit.make(folder, options.seed, options.steps, lambda: bars.advance(bar))
