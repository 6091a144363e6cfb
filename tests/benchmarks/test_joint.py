from pathlib import Path

import numpy as np
import pytest

from benchmarks.joint import BATCH, BUCKET, batches, rate, run_joint
from benchmarks.streams import Example, Stream, StreamTask
from tests.backbones.models import SUPPORTED, WORDS, save


def task(name: str, words: tuple[str, str]) -> StreamTask:
    """Two classes, each told by its word."""
    rows = tuple(
        Example(f"{word} {other}", f"class-{c}") for c, word in enumerate(words) for other in WORDS
    )
    return StreamTask(name, rows, rows, "words")


def test_one_fine_tuning_learns_all_tasks_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.joint.BACKBONE_RATE", 3e-3)
    monkeypatch.setattr("benchmarks.joint.HEAD_RATE", 3e-2)
    stream = Stream("words", 0, (task("a", (WORDS[0], WORDS[1])), task("b", (WORDS[2], WORDS[3]))))
    said: list[float] = []
    folder = save(SUPPORTED["bert"], tmp_path / "tiny")
    row = run_joint(stream, str(folder), 16, lambda doing, share: said.append(share))
    assert 0.5 < row.final_accuracy <= row.task_given_accuracy
    assert (row.forgetting, row.accuracy_matrix, row.versions) == (None, [], 0)
    assert said[-1] == 1.0


def test_an_epoch_holds_every_row_once_in_batches_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 2 * BUCKET + 5).tolist()
    cut = list(batches(lengths, np.random.default_rng(1)))
    assert sorted(i for rows in cut for i in rows) == list(range(len(lengths)))
    assert max(map(len, cut)) == BATCH
    ranges = [max(lengths[i] for i in rows) - min(lengths[i] for i in rows) for rows in cut]
    assert np.mean(ranges) < 30


def test_the_rate_rises_and_then_falls() -> None:
    rates = [rate(step, 100) for step in range(100)]
    assert rates[9] == max(rates) == 1.0
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(1 / 90)
