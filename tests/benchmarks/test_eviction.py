"""The measurements of eviction and consolidation on small data, a tiny backbone, given prompts."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest

from backbones import load
from benchmarks import consolidation, eviction
from benchmarks.consolidation import CASES, ConsolidationRow, SevenPrompts
from benchmarks.eviction import EvictionRow, FullQueue, cases, prompted_tasks
from benchmarks.named_streams import NLP7
from tests.backbones.models import SUPPORTED, WORDS, save

ROWS = 10
TEXTS: dict[str, Callable[[str, str], str]] = {
    "QQP": lambda one, other: f'first sentence: "{one}"\nsecond sentence: "{other}"',
    "RTE": lambda one, other: f"sentence 1: {one}\nsentence 2: {other}",
    "WiC": lambda one, other: f"word: {one[:3]}\n{one}\n{other}",
}


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(SUPPORTED["bert"], tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven tasks of two classes in the files' own forms."""
    root = tmp_path_factory.mktemp("data")
    for name in NLP7:
        if name != "yahoo":
            train, test = (_rows(name, start) for start in (0, 4))
            rows = {
                part: [{"sentence": text, "label": label} for text, label in of]
                for part, of in (("train", train), ("test", test))
            }
            _write(root / "olora_cl_benchmark" / f"{name}.json.gz", rows | {"labels": ["a", "b"]})
    draw = {"train": _rows("yahoo", 0), "valid": [], "test": _rows("yahoo", 4)}
    content = {"yahoo_answers_csv": {"0": draw}}
    _write(root / "lfpt5_classification" / "lfpt5_classification.json.gz", content)
    return root


def _plain(one: str, other: str) -> str:
    return f"{one} {other}"


def _rows(name: str, start: int) -> list[tuple[str, str]]:
    """Four rows of each label from `start`; the label's own word tells it."""
    form = TEXTS.get(name, _plain)
    place = NLP7.index(name)
    return [
        (form(f"{WORDS[place]} {WORDS[i]}", f"{WORDS[7 + j]} {WORDS[i + 1]}"), label)
        for i in range(start, start + 4)
        for j, label in enumerate("ab")
    ]


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(orjson.dumps(content)))


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """Stored prompts of seed 0: random rows, so that nothing is trained here."""
    folder = tmp_path_factory.mktemp("prompts")
    shape = load(str(tiny_folder), device="cpu", threads=1).description.prefix_shape(ROWS)
    for seed, name in enumerate(NLP7):
        rows = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        np.save(folder / f"{name}-0.npy", rows)
    return folder


@pytest.fixture(scope="module")
def stored(data: Path, prompts: Path, tiny_folder: Path) -> SevenPrompts:
    backbone = eviction.nlp_backbone(str(tiny_folder))
    return SevenPrompts(backbone, prompted_tasks(data, backbone, 0, prompts), 0)


def test_eviction_is_measured_resumed_and_reported(
    tmp_path: Path, data: Path, prompts: Path, tiny_folder: Path
) -> None:
    path = tmp_path / "rows.json"
    run = partial(
        eviction.run,
        [0],
        data,
        rules=["merge", "fifo"],
        backbone=str(tiny_folder),
        json_path=path,
        prompts=prompts,
    )
    rows = run()
    assert [(r.rule, r.protocol, r.keep) for r in rows] == list(cases(["merge", "fifo"]))
    assert rows[0].error == 0
    errors = {(r.rule, r.protocol, r.keep): r.error for r in rows}
    assert 0 < errors["merge", "at once", 30] < errors["fifo", "at once", 30]
    assert errors["merge", "at once", 30] < errors["merge", "at once", 10]
    said: list[str] = []
    assert run(say=said.append) == rows
    assert said == []
    assert "| `merge` | 30, in turn |" in eviction.markdown(rows)


def test_a_queue_evicted_in_turn_never_outgrows_its_rows(stored: SevenPrompts) -> None:
    queue = FullQueue(stored.backbone, stored.tasks, 0)
    assert len(queue.rows) == 7 * ROWS
    assert len(queue.in_turn("fifo", 30)) == 30
    np.testing.assert_array_equal(
        queue.in_turn("fifo", 30).values, queue.at_once("fifo", 30).values
    )


def test_kept_rows_are_the_first_of_each_class(stored: SevenPrompts) -> None:
    task = stored.tasks[0]
    assert task.classes == 2
    assert task.kept.tolist() == list(range(8))
    assert len(task.answers) == len(task.test) == 8


def test_replacing_the_nearest_pair_leaves_the_other_five(stored: SevenPrompts) -> None:
    replaced = CASES["six, merge"](stored)
    same = [one is other for one, other in zip(replaced, stored.prompts, strict=True)]
    assert sum(same) == 5
    assert replaced[stored.pair[0]] is replaced[stored.pair[1]]
    assert replaced[stored.pair[0]].length == ROWS


def test_seven_prompts_are_measured_under_themselves(stored: SevenPrompts) -> None:
    row = stored.measure("seven")
    assert row.cosine == pytest.approx(1, abs=1e-4)
    assert row.routed <= row.task_given
    distilled, frozen = (stored.measure(case) for case in ("one, distilled", "frozen"))
    assert frozen.cosine < distilled.cosine < 1


def test_consolidation_is_reported_over_seeds() -> None:
    rows = [
        ConsolidationRow(seed, "seven", mark, mark, mark, mark, 1.0, 0.9, "QQP+RTE", 2.0)
        for seed, mark in enumerate((0.5, 0.7))
    ]
    assert "| seven | 60.0 ± 14.1 |" in consolidation.markdown(rows)


def test_eviction_is_reported_over_seeds() -> None:
    rows = [EvictionRow(s, "pca", "at once", 30, 0.02 + s / 100, 0.4, 0.5, 0.1) for s in (0, 1)]
    assert "| `pca` | 30 | 0.025 ± 0.007 | 40.0 ± 0.0 |" in eviction.markdown(rows)
