"""`perennial bench pictures`: pictures from files, as the benchmarks write them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from benchmarks.json_file import read_json, write_json
from benchmarks.load import Answer
from benchmarks.pictures import PICTURES, Traced
from benchmarks.swap import Publication, SwapResult, Trace
from benchmarks.swap_report import report
from benchmarks.throughput.pace import Pace
from benchmarks.throughput.run import LoadResult, Rate, Round
from perennial.cli import main

pytest.importorskip("matplotlib")

STORED = Path(__file__).parents[2] / "docs" / "rows"

LOAD = LoadResult(
    runtime="onnx",
    size=64,
    rounds=[Round(Pace(300, 3.0), Pace(250, 3.6), Pace(200, 5.0), Pace(280, 3.2), failed=0)],
    rates=[
        Rate(0.25, 50, 50, refused=0, failed=0, p50=9, p99=20, p999=30),
        Rate(2.0, 400, 210, refused=90, failed=1, p50=900, p99=2000, p999=3000),
    ],
)
TRACE = Trace(
    answers=[
        Answer(10.0, 10.02, version=2, replica="a"),
        Answer(10.5, 10.6, failure="503 no replica"),
        Answer(11.0, 11.02, version=3, replica="b"),
    ],
    publications=[Publication(2, 5.0), Publication(3, 10.8)],
)


def drawn(rows: Path, images: Path) -> Result:
    arguments = ["bench", "pictures", "--rows", str(rows), "--images", str(images)]
    return CliRunner().invoke(main, arguments)


def test_what_is_there_is_drawn_and_what_is_not_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "load.json", LOAD.as_json())
    result = drawn(tmp_path, tmp_path / "images")
    assert result.exit_code == 0, result.output
    (picture,) = (tmp_path / "images").iterdir()
    assert picture.name == "load.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    for name in PICTURES.keys() - {"load"}:
        assert f"{name}: no {tmp_path / name}.json" in result.stderr


def test_the_stored_runs_are_of_this_version(tmp_path: Path) -> None:
    there = {name for name in PICTURES if (STORED / f"{name}.json").exists()}
    assert there
    result = drawn(STORED, tmp_path)
    assert result.exit_code == 0, result.output
    assert {path.stem for path in tmp_path.iterdir()} == there


def test_swaps_are_drawn_from_the_trace_beside_their_result(tmp_path: Path) -> None:
    values: dict[str, Any] = dict.fromkeys((field.name for field in fields(SwapResult)), 0)
    path = tmp_path / "swap.json"
    report(SwapResult(**values | {"failures": [], "requests": 3}), TRACE, path, plot=None)
    assert orjson.loads(path.read_bytes())["requests"] == 3
    assert read_json(path, Traced).trace == TRACE
    result = drawn(tmp_path, tmp_path)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "swap.png").read_bytes().startswith(b"\x89PNG")


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_json(tmp_path / "load.json", LOAD.as_json() | {"added": 1})
    assert read_json(tmp_path / "load.json", LoadResult) == LOAD


@pytest.mark.parametrize("content", [b"", b'{"runtime": "onnx"}', b'{"rows": []}'])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "load.json").write_bytes(content)
    result = drawn(tmp_path, tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path / 'load.json'} is not what this version writes" in result.output
