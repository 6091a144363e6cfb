from __future__ import annotations

from collections.abc import Iterator

import pytest

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
