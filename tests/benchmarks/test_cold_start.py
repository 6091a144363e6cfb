"""`perennial bench cold-start`: starts of real servers, and Ray's share taken off."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from benchmarks.cold_start.report import markdown
from benchmarks.cold_start.run import EMPTY, ColdStartResult, Start
from perennial.cli import main
from tests.backbones.models import SUPPORTED, save


def test_what_ray_takes_itself_is_taken_off_round_by_round() -> None:
    ours = [Start(12, 13, 5, 300), Start(32, 33, 6, 310), Start(14, 16, 5, 305)]
    empty = [Start(10, 10.5, 2, 150), Start(29, 29.5, 2, 150), Start(11, 11.5, 2, 150)]
    table = markdown(ColdStartResult({"ray, onnx": ours, EMPTY: empty}))
    assert "| ray, onnx, less the empty one | 3.00 | 3.50 | 3.00 | 155.00 |" in table


def test_without_ray_nothing_is_taken_off() -> None:
    table = markdown(ColdStartResult({"local, onnx": [Start(2.0, 2.1, 1.4, 200.0)]}))
    assert "| local, onnx | 2.00 | 2.10 | 1.40 | 200.00 |" in table
    assert "less" not in table


def started(arguments: list[object], out: Path) -> dict[str, list[dict[str, float]]]:
    command = ["bench", "cold-start", *map(str, arguments), "--json", str(out)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    starts: dict[str, list[dict[str, float]]] = orjson.loads(out.read_bytes())["starts"]
    assert all(0 < one["ready"] < one["answered"] for of in starts.values() for one in of)
    assert all(min(one["cpu"], one["megabytes"]) > 0 for of in starts.values() for one in of)
    return starts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(SUPPORTED["bert"], tmp_path / "bert")


@pytest.mark.long
def test_a_local_server_is_started_again_and_again(folder: Path, tmp_path: Path) -> None:
    arguments: list[object] = ["--engine", "local", "--runtime", "torch", "--backbone", folder]
    starts = started([*arguments, "--rounds", 2], tmp_path / "starts.json")
    assert {name: len(of) for name, of in starts.items()} == {"local, torch": 2}


@pytest.mark.long
@pytest.mark.ray
def test_an_empty_application_is_started_beside_ray(folder: Path, tmp_path: Path) -> None:
    arguments: list[object] = ["--engine", "ray", "--runtime", "torch", "--backbone", folder]
    starts = started([*arguments, "--rounds", 1], tmp_path / "starts.json")
    assert {name: len(of) for name, of in starts.items()} == {"ray, torch": 1, EMPTY: 1}
