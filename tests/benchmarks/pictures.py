"""Small image data sets, written as the benchmarks read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.image_sets import TEST, TRAIN
from tests.backbones.vision.models import encoded

OTHER = 2


def arrays(classes: int, train: int, test: int) -> dict[str, Any]:
    """Of each class so many images of its own colour; one row of a part that nobody reads."""
    rows = [(c, s, i) for c in range(classes) for s, n in ((TRAIN, train), (TEST, test))
            for i in range(n)]  # fmt: skip
    rows.append((0, OTHER, 0))
    files = [encoded(coloured(c, 10 * s + i)) for c, s, i in rows]
    return {
        "blob": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "label": np.array([c for c, _, _ in rows], np.int16),
        "split": np.array([s for _, s, _ in rows], np.uint8),
        "classes": np.array([f"class-{c:02d}" for c in range(classes)]),
    }


def coloured(colour: int, seed: int, width: int = 40, height: int = 32) -> Image.Image:
    """Mostly one of twelve colours, under noise."""
    noise = np.random.default_rng([colour, seed]).integers(-30, 30, (height, width, 3))
    flat = np.asarray([colour % 3, colour // 3 % 2, colour // 6 % 2]) * [90, 180, 180] + 30
    return Image.fromarray(np.clip(flat + noise, 0, 255).astype(np.uint8))


def write_images(folder: Path, content: dict[str, Any]) -> Path:
    """`folder/images.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "images.npz", **content)
    return folder
