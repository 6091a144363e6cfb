"""`perennial bench load --engines`: what is compared, the table, and a real run of both engines."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from benchmarks.throughput.comparison import Turn
from benchmarks.throughput.engines import LOCAL, RAY, EnginesResult, Visit
from benchmarks.throughput.engines_table import markdown
from perennial.cli import main
from tests.backbones.models import SUPPORTED, save


def turn(requests: float, cpu: float = 0.0) -> Turn:
    return Turn(requests, p50=10, p99=20, cpu=cpu, failed=1)


RESULT = EnginesResult(
    clients=64,
    visits={
        LOCAL: [
            Visit(10, turn(200, 4.05), turn(100, 6.1)),
            Visit(10, turn(100, 4.1), turn(100, 6.1)),
            Visit(0, turn(400, 4.0), turn(50, 6.0)),
        ],
        RAY: [
            Visit(100, turn(100, 7.0), turn(50, 10.0)),
            Visit(120, turn(80, 8.0), turn(80, 9.0)),
            Visit(100, turn(200, 6.0), turn(20, 12.0)),
        ],
    },
)
"""By its idle processes Ray takes 2, 1.5 and 5 ms of every request of a single client."""


def test_rest_is_taken_off_and_rounds_are_compared_one_by_one() -> None:
    content = RESULT.as_json()
    assert content["ratios"] == {"many": [0.5, 0.8, 0.5], "single": [0.5, 0.8, 0.4]}
    assert content["overheads"] == pytest.approx([2.0, 1.5, 1.0])
    assert content["visits"][RAY][0]["single"]["cpu"] == 10.0


def test_an_engine_that_answers_nothing_has_no_ratio() -> None:
    silent = EnginesResult(1, {name: [Visit(0, turn(0), turn(0))] for name in (LOCAL, RAY)})
    assert isnan(silent.ratios(lambda visit: visit.many)[0])
    assert isnan(silent.overheads()[0])


def test_the_table_shows_promises_beside_medians() -> None:
    lines = markdown(RESULT).splitlines()
    assert "| local | 64 | 200 ± 153 | 10.0 ± 0.0 | 20.0 ± 0.0 | 4.00 ± 0.00 | 3 |" in lines
    assert "| ray | 1 | 50 ± 30 | 10.0 ± 0.0 | 20.0 ± 0.0 | 7.50 ± 0.50 | 3 |" in lines
    assert "| requests/s of 64 clients, ray / local | ≥ 0.6 | 0.50 ± 0.17 |" in lines
    assert "| CPU ms more that its request costs on ray | ≤ 2 | 1.50 ± 0.50 |" in lines
    assert "| ray at rest, % of a core |  | 10.0 ± 1.2 |" in lines


@pytest.mark.long
@pytest.mark.ray
def test_both_engines_are_loaded_in_turn(tmp_path: Path) -> None:
    folder = save(SUPPORTED["bert"], tmp_path / "bert")
    out = tmp_path / "engines.json"
    arguments = ["--backbone", folder, "--runtime", "torch", "--rounds", 2, "--seconds", 0.5]
    arguments += ["--clients", 4, "--json", out]
    result = CliRunner().invoke(main, ["bench", "load", "--engines", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "| ray | 4 |" in result.stdout
    visits = orjson.loads(out.read_bytes())["visits"]
    assert {name: len(of) for name, of in visits.items()} == {LOCAL: 2, RAY: 2}
    assert all(visit["rest"] > 0 for visit in visits[RAY])
    turns = [visit[kind] for of in visits.values() for visit in of for kind in ("many", "single")]
    assert all(one["requests"] > 0 and one["cpu"] > 0 and one["failed"] == 0 for one in turns)
