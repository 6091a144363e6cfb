"""`perennial bench stream` and `cost` on a small data set and a tiny backbone."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from backbones import load
from benchmarks.cost import EARLY, LATE, run_cost
from benchmarks.streams import Dataset
from perennial.cli import main
from tests.backbones.models import SUPPORTED, WORDS, save
from tests.learner.conftest import quick

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(SUPPORTED["bert"], tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """62 classes of two words each."""
    folder = tmp_path_factory.mktemp("words")

    def rows(start: int, count: int) -> list[list[str]]:
        return [
            [f"{WORDS[c % 8]} {WORDS[c // 8]} {WORDS[i]}", f"class-{c:02d}"]
            for c in range(62)
            for i in range(start, start + count)
        ]

    content = {"train": rows(0, 8), "test": rows(8, 2)}
    (folder / "words.json.gz").write_bytes(gzip.compress(orjson.dumps(content)))
    return folder


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def test_a_stream_is_learnt_reported_and_resumed(
    tmp_path: Path, data: Path, tiny_folder: Path
) -> None:
    out = tmp_path / "out" / "rows.json"
    arguments = ["stream", "--data", data, "--tasks", 2, "--shots", 8, "--method", "frozen"]
    arguments += ["--backbone", tiny_folder, "--json", out]
    result = bench(*arguments, "--seeds", 1)
    assert result.exit_code == 0, result.output
    (row,) = orjson.loads(out.read_bytes())["rows"]
    assert row["stream"] == data.name
    assert 0 <= row["final_accuracy"] <= row["task_given_accuracy"] <= 1
    assert len(row["cpu_seconds_per_task"]) == 2
    again = bench(*arguments, "--seeds", 2)
    assert again.exit_code == 0, again.output
    rows = orjson.loads(out.read_bytes())["rows"]
    assert [r["seed"] for r in rows] == [0, 1]
    assert rows[0] == row
    assert f"| {data.name} | frozen |" in again.output


def test_rows_of_other_settings_stand_beside_one_another(
    tmp_path: Path, data: Path, tiny_folder: Path
) -> None:
    out = tmp_path / "rows.json"
    arguments = ["stream", "--data", data, "--tasks", 2, "--shots", 4, "--method", "frozen"]
    arguments += ["--backbone", tiny_folder, "--json", out, "--seeds", 1]
    for head in ("lda", "nearest", "lda"):
        result = bench(*arguments, "--head", head)
        assert result.exit_code == 0, result.output
    settings = [row["settings"]["overrides"] for row in orjson.loads(out.read_bytes())["rows"]]
    assert settings == [["head.kind=lda"], ["head.kind=nearest"]]
    assert "| frozen head.kind=lda |" in result.output


def test_hindsight_judges_every_candidate_and_fills_in_rows_without(
    tmp_path: Path, data: Path, tiny_folder: Path
) -> None:
    out = tmp_path / "rows.json"
    arguments = ["stream", "--data", data, "--tasks", 2, "--shots", 4, "--seeds", 1]
    arguments += ["--method", "sequential-open", "--backbone", tiny_folder, "--json", out]
    for option in ("sequential.epochs=1", "head.kind=lda", "head.views=last"):
        arguments += ["--set", option]
    assert bench(*arguments).exit_code == 0
    result = bench(*arguments, "--hindsight")
    assert result.exit_code == 0, result.output
    (row,) = orjson.loads(out.read_bytes())["rows"]
    found = row["hindsight"]
    assert len(found["verdicts"]) == 2
    assert all(verdict["accepted"] for verdict in found["verdicts"])
    assert found["right accepts"] + found["wrong accepts"] == 2
    assert found["verdicts"][-1]["accuracy"] == pytest.approx(row["final_accuracy"])
    assert "right accepts" in result.output


def test_rows_of_an_older_version_are_refused(
    tmp_path: Path, data: Path, tiny_folder: Path
) -> None:
    out = tmp_path / "rows.json"
    out.write_bytes(orjson.dumps({"rows": [{"stream": "x"}]}))
    result = bench("stream", "--data", data, "--backbone", tiny_folder, "--json", out)
    assert result.exit_code == 1
    assert "name another file" in result.output


@pytest.mark.parametrize("override", ["q_tuning.nothing=1", "seed", "gate.alpha=2", "seed.x=1"])
def test_an_option_the_learner_lacks_is_refused(data: Path, override: str) -> None:
    result = bench("stream", "--data", data, "--tasks", 2, "--set", override)
    assert result.exit_code == 2, result.output
    assert "--set" in result.output


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    result = bench("stream", "--data", tmp_path)
    assert result.exit_code == 2
    assert "found 0" in result.output


def test_the_thirtieth_task_is_compared_with_the_third(data: Path, tiny_folder: Path) -> None:
    backbone = load(str(tiny_folder), threads=1, prompted_layers=2, precision="fp32")
    stream = Dataset.load(data).stream(tasks=31, shots=4, seed=0)
    said: list[str] = []
    result = run_cost(stream, backbone, quick(minimum_rows=4), said.append)
    assert len(result.training_cpu_seconds) == LATE + 1
    assert len(said) == LATE + 1
    assert result.training_ratio == result.training_late / result.training_early
    assert result.request_ratio > 0
    assert EARLY < LATE
