"""How a server begins and ends: signals, and a store that belongs to another backbone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.running_server import running_server
from perennial.client import Client
from tests.backbones.models import SUPPORTED, save

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a server with a small backbone that needs no export."""
    folder = save(SUPPORTED["bert"], tmp_path_factory.mktemp("bert"))
    return ["--backbone", str(folder), "--runtime", "torch", "--learner-method", "frozen"]


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
def test_a_signal_ends_server_and_learner_in_order(
    tmp_path: Path, flags: list[str], number: signal.Signals, at_once: bool
) -> None:
    log = tmp_path / "log"
    with running_server([*flags, "--store", str(tmp_path / "store")], log) as server:
        process = psutil.Process(server.process.pid)
        wait_until(lambda: process.children(recursive=True))
        if not at_once:
            with Client(server.url) as client:
                rows = [(text, label) for text, label in (("red", "a"), ("blue", "b")) * 2]
                client.wait(client.learn("colours", rows), until="refreshed")
        children = process.children(recursive=True)
        for one in (process, *children) if number == signal.SIGINT else (process,):
            one.send_signal(number)  # a terminal interrupts all of them
        assert server.process.wait(PATIENCE_SECONDS) == 0
        _, alive = psutil.wait_procs(children, PATIENCE_SECONDS)
        assert not alive
    said = log.read_text()
    assert "stopping the learner" in said
    assert "Traceback" not in said


def test_a_store_of_another_backbone_is_refused_at_the_start(
    tmp_path: Path, flags: list[str]
) -> None:
    store = ["--store", str(tmp_path / "store")]
    with running_server([*flags, *store], tmp_path / "log") as server, Client(server.url) as client:
        client.wait(client.learn("colours", [("red", "a"), ("blue", "b")]), until="refreshed")
    (tmp_path / "other").mkdir()
    other = save(SUPPORTED["roberta"], tmp_path / "other")
    command = [sys.executable, "-m", "perennial", "serve", "--port", "0", *store]
    command += ["--backbone", str(other), "--runtime", "torch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 1
    assert "start with that one, or on another store" in done.stderr
    assert "Traceback" not in done.stderr
    assert "serving at" not in done.stdout
