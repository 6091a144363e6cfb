"""Degraded test images: in the way named, the same for a seed, the training rows untouched."""

from __future__ import annotations

import random
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.degraded import (
    KINDS,
    SHORTER_SIDES,
    compressed,
    darkened,
    degrade,
    degraded_tests,
    resized,
)
from benchmarks.degraded_table import COLUMNS, degraded_markdown
from benchmarks.streams import Example, Stream, StreamTask
from tests.backbones.vision.models import encoded
from tests.benchmarks.pictures import coloured
from tests.benchmarks.rows import row

PHOTO = coloured(1, 0, width=170, height=128)


def pixels(image: Image.Image | bytes) -> NDArray[np.float64]:
    opened = Image.open(BytesIO(image)) if isinstance(image, bytes) else image
    return np.asarray(opened, np.float64)


def roughness(image: Image.Image | bytes) -> float:
    return float(np.abs(np.diff(pixels(image), axis=1)).mean())


def test_resized_loses_detail_and_keeps_its_size() -> None:
    small = resized(PHOTO, random.Random(0))
    assert pixels(small).shape == pixels(PHOTO).shape
    assert roughness(small) < 0.5 * roughness(PHOTO)


def test_an_image_of_the_smallest_side_is_not_resized() -> None:
    icon = coloured(1, 0, width=SHORTER_SIDES[0], height=SHORTER_SIDES[0])
    assert np.array_equal(pixels(resized(icon, random.Random(0))), pixels(icon))


def test_compressed_is_a_small_jpeg() -> None:
    file = compressed(PHOTO, random.Random(0))
    assert Image.open(BytesIO(file)).format == "JPEG"
    assert len(file) < 0.3 * len(encoded(PHOTO, "JPEG", quality=95))


def test_darkened_is_three_fifths_as_bright() -> None:
    np.testing.assert_allclose(
        pixels(darkened(PHOTO, random.Random(0))), 0.6 * pixels(PHOTO), atol=1
    )


@pytest.fixture
def stream() -> Stream:
    rows = tuple(Example("", "c", image=encoded(coloured(1, i, 90, 64))) for i in range(7))
    return Stream("s", 1, (StreamTask("t", rows[:2], rows), StreamTask("u", rows[:1], rows[:1])))


def test_every_test_row_is_degraded_in_one_way(stream: Stream) -> None:
    dealt = {kind: degraded_tests(stream, kind) for kind in KINDS}
    assert [len(dealt[kind][0].test) for kind in KINDS] == [2, 3, 2]
    assert sum(task.name == "u" for tasks in dealt.values() for task in tasks) == 1
    originals = {one.image for one in stream.tasks[0].test}
    for tasks in dealt.values():
        assert tasks[0].train == stream.tasks[0].train
        assert not originals & {one.image for one in tasks[0].test}


def test_the_seed_fixes_it_and_another_changes_it(stream: Stream) -> None:
    one = stream.tasks[0].test[0]
    assert degrade(one, "resized", 0) == degrade(one, "resized", 0)
    assert degrade(one, "resized", 0) != degrade(one, "resized", 1)


def test_the_table_has_a_line_for_each_data_set() -> None:
    marks = [
        {"kind": kind, "dataset": name, "rows": 5, "accuracy": accuracy, "routed": 0.5}
        for kind, accuracy in zip(COLUMNS, (1.0, 0.25, 0.5, 0.75), strict=True)
        for name in ("a", "b")
    ]
    assert degraded_markdown([row("auto")]) == ""
    table = degraded_markdown([replace(row("auto"), degraded=marks)])
    cells = " | ".join(f"{share}.00 ± 0.00 (50.0)" for share in (100, 25, 50, 75))
    assert table.count(cells) == 2
