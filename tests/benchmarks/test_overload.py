"""`perennial bench overload`, in short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from perennial.cli import main
from tests.end_to_end.conftest import needs_minilm


@pytest.mark.long
@needs_minilm
def test_overload_is_refused_and_nothing_fails(tmp_path: Path) -> None:
    file = tmp_path / "overload.json"
    options = ["--seconds", "3", "--rounds", "1", "--factor", "5", "--json", str(file)]
    done = CliRunner().invoke(main, ["bench", "overload", *options])
    assert done.exit_code == 0, done.output
    assert "p99 under overload" in done.output
    (turn,) = json.loads(file.read_bytes())["turns"]
    assert turn["overload"]["refused"] > turn["usual"]["refused"]
    assert turn["usual"]["failed"] == turn["overload"]["failed"] == 0
    assert turn["overload"]["answered"] > 0
