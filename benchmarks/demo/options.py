"""What the demo can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Of one run; the defaults are those of the command.

    backbone: None for what is at hand, `SMALL` for the toy;  image_size: pixels of a side, None
    for what suits;  seed: of the deal and of the toy;  steps: of the toy's pre-training;
    shots, tests: images of a digit to learn and to be asked about
    """

    out: Path = Path("perennial-demo")
    backbone: str | None = None
    image_size: int | None = None
    seed: int = 0
    steps: int = 600
    shots: int = 20
    tests: int = 30
