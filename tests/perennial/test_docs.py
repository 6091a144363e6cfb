"""The examples in docs/perennial.md run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perennial.cli import COMMANDS
from tests.perennial.small_server import SmallServer

PAGE = (Path(__file__).parents[2] / "docs" / "perennial.md").read_text()


def test_the_python_example_runs(server: SmallServer, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(example.replace("http://127.0.0.1:8000", server.url), {})
    assert "task='mail' label='card'" in capsys.readouterr().out


def test_the_commands_exist() -> None:
    named = set(re.findall(r"(?m)^perennial (\w+)", PAGE))
    assert named
    assert named <= set(COMMANDS)
