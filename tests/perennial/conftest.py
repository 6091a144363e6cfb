from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from perennial.cli import main
from tests.perennial.small_server import SmallServer, running


@pytest.fixture(scope="session")
def running_server() -> Iterator[SmallServer]:
    with running() as server:
        yield server


@pytest.fixture
def server(running_server: SmallServer) -> SmallServer:
    """The server as it was at the start."""
    running_server.forget_everything()
    return running_server


class Run(Protocol):
    def __call__(self, *arguments: object, code: int = 0) -> Result: ...


@pytest.fixture
def run(server: SmallServer) -> Run:
    """Calls `perennial …` with PERENNIAL_URL set, and checks the exit code."""

    def call(*arguments: object, code: int = 0) -> Result:
        environment = {"PERENNIAL_URL": server.url, "COLUMNS": "200"}
        result = CliRunner().invoke(main, [str(one) for one in arguments], env=environment)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return call
