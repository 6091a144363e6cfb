"""`perennial bench soak`, in short; and its trends."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.soak.trend import trend
from perennial.cli import main
from tests.end_to_end.conftest import needs_minilm


def test_a_trend_is_the_line_through_what_was_seen() -> None:
    steady = trend([(hour, 5.0) for hour in range(4)])
    assert (steady.first, steady.last, steady.slope) == (5.0, 5.0, 0.0)
    rising = trend([(hour / 2, 10.0 + hour) for hour in range(4)])
    assert (rising.first, rising.last, rising.slope) == pytest.approx((10.0, 13.0, 2.0))
    assert rising.error == pytest.approx(0.0, abs=1e-9)
    assert isnan(trend([(0.0, 1.0), (1.0, 2.0)]).slope)


@pytest.mark.long
@needs_minilm
def test_a_server_is_looked_at_while_it_learns(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    options = ["--seconds", "12", "--window", "3", "--rate", "5", "--method", "frozen"]
    done = CliRunner().invoke(main, ["bench", "soak", *options, "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert "server, MB" in done.output
    found = json.loads(file.read_bytes())
    first, *_, last = found["looks"]
    assert last["version"] > first["version"]  # it learnt meanwhile
    assert set(last["megabytes"]) == {"server", "learner"}
    assert last["files"] == first["files"]
