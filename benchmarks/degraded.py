"""Test images as bad cameras and slow lines deliver them: smaller, compressed, darker.

Each test row is degraded in one way, dealt out in turn, by an amount that seed and image fix.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

import numpy as np
from PIL import Image

from backbones.images import decoded, encoded
from benchmarks.examiner import Examiner, Marks
from benchmarks.streams import Example, Stream, StreamTask
from learner.content import Content

SHORTER_SIDES = (32, 96)
"""Pixels; an image that is smaller already stays as it is."""
JPEG_QUALITY = 30
BRIGHTNESS = 0.6
UNTOUCHED = "untouched"
"""The kind of all test rows as they are, to compare with."""


@dataclass(frozen=True)
class DegradedMarks:
    """One data set's test rows degraded in one way: means over its tasks, without task id.

    rows: that were examined;  routed: share that came to the domain of its task
    """

    kind: str
    dataset: str
    rows: int
    accuracy: float
    routed: float


def resized(image: Image.Image, rng: random.Random) -> bytes:
    """Shrunk to a shorter side of 32 to 96 px, log-uniform, and enlarged again."""
    side = math.exp(rng.uniform(*(math.log(end) for end in SHORTER_SIDES)))
    scale = min(1.0, side / min(image.size))
    if scale == 1.0:
        return _png(image)
    width, height = image.size
    small = (max(1, round(scale * width)), max(1, round(scale * height)))
    shrunk = image.resize(small, Image.Resampling.BICUBIC)
    return _png(shrunk.resize(image.size, Image.Resampling.BICUBIC))


def compressed(image: Image.Image, rng: random.Random) -> bytes:
    """As a JPEG of quality 30."""
    return encoded(image, "JPEG", quality=JPEG_QUALITY)


def darkened(image: Image.Image, rng: random.Random) -> bytes:
    """At 0.6 of its brightness."""
    return _png(image.point(lambda value: value * BRIGHTNESS))


KINDS: dict[str, Callable[[Image.Image, random.Random], bytes]] = {
    "resized": resized,
    "compressed": compressed,
    "darkened": darkened,
}


def degrade(example: Example, kind: str, seed: int) -> Example:
    """The same row with a worse image."""
    assert example.image is not None, "only images can be degraded"
    rng = random.Random(f"{seed}/{sha256(example.image).hexdigest()}")
    return replace(example, image=KINDS[kind](decoded(example.image), rng))


def degraded_tests(stream: Stream, kind: str) -> list[StreamTask]:
    """The tasks with those of their test rows that are dealt to `kind`, degraded."""
    place = list(KINDS).index(kind)
    tasks = []
    for task in stream.tasks:
        dealt = [one for i, one in enumerate(task.test) if (i + stream.seed) % len(KINDS) == place]
        tasks.append(replace(task, test=tuple(degrade(one, kind, stream.seed) for one in dealt)))
    return [task for task in tasks if task.test]


def examine_degraded(stream: Stream, content: Content, examiner: Examiner) -> list[dict[str, Any]]:
    """`DegradedMarks` of each kind and data set, untouched rows first, for `--json`.

    examiner: has seen the untouched rows already, and so need not look again
    """
    found = _by_dataset(UNTOUCHED, stream.tasks, examiner, content)
    for kind in KINDS:
        anew = Examiner(examiner.backbone, examiner.report)
        found += _by_dataset(kind, degraded_tests(stream, kind), anew, content)
    return found


def _by_dataset(
    kind: str, tasks: Sequence[StreamTask], examiner: Examiner, content: Content
) -> list[dict[str, Any]]:
    marks = examiner.examine(content, tasks)
    return [
        asdict(_summed_up(kind, name, [task for task in tasks if task.dataset == name], marks))
        for name in sorted({task.dataset for task in tasks})
    ]


def _summed_up(kind: str, name: str, tasks: Sequence[StreamTask], marks: Marks) -> DegradedMarks:
    return DegradedMarks(
        kind=kind,
        dataset=name,
        rows=sum(len(task.test) for task in tasks),
        accuracy=float(np.mean([marks.unnamed[task.name] for task in tasks])),
        routed=float(np.mean([marks.routed[task.name] for task in tasks])),
    )


def _png(image: Image.Image) -> bytes:
    return encoded(image, "PNG", compress_level=1)
