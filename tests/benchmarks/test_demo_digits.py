"""The demo's images: dealt by a seed, and written so that the command line takes them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sklearn")

from benchmarks.demo.digits import LABELS, LEARN, SIDE, OtherFiles, deal, write
from perennial.cli.image_files import read_folder


def test_the_same_seed_deals_the_same_and_another_does_not() -> None:
    assert deal(3, 5, 4) == deal(3, 5, 4)
    assert {digit.row for digit in deal(3, 5, 4).test} != {
        digit.row for digit in deal(4, 5, 4).test
    }


def test_every_digit_is_in_one_task_and_no_image_in_two_places() -> None:
    dealt = deal(0, 20, 30)
    rows = [digit.row for digit in dealt.all()]
    assert len(rows) == len(set(rows)) == len({digit.path for digit in dealt.all()}) == 10 * 50
    taught = [sorted({digit.label for digit in task}) for task in dealt.tasks.values()]
    assert sorted(label for labels in taught for label in labels) == list(LABELS)
    assert ["-".join(labels) for labels in taught] == list(dealt.tasks)
    assert Counter(digit.label for digit in dealt.test) == dict.fromkeys(LABELS, 30)


def test_a_task_is_a_folder_that_learn_reads(tmp_path: Path) -> None:
    dealt = deal(0, 4, 2)
    write(dealt, tmp_path)
    for task, digits in dealt.tasks.items():
        found = read_folder(tmp_path / LEARN / task)
        assert {(one.path, one.label) for one in found} == {
            (tmp_path / digit.path, digit.label) for digit in digits
        }
    for digit in dealt.test:
        with Image.open(tmp_path / digit.path) as image:
            assert image.size == (SIDE, SIDE)
            shades = np.asarray(image)
        assert shades.min() < 64  # ink
        assert np.median(shades) > 128  # on paper


def test_writing_again_changes_nothing_and_another_deal_is_refused(tmp_path: Path) -> None:
    write(deal(0, 2, 1), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    write(deal(0, 2, 1), tmp_path)
    with pytest.raises(OtherFiles, match="--out"):
        write(deal(1, 2, 1), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before
