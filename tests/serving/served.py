"""A server on the small backbone in a process of its own: `python -m tests.serving.served STORE`.

It says its address, and serves until its standard input ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from prompt_store import Store
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.service import Service
from serving.settings import Polling, Settings
from tests.serving.bag_of_words import BagOfWords
from tests.serving.running import running


@contextmanager
def served(store: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and its process."""
    command = [sys.executable, "-m", __spec__.name, str(store)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip(), psutil.Process(process.pid)
        process.stdin.close()
        assert process.wait(60) == 0


def _serve(store: str) -> None:
    settings = Settings(polling=Polling(versions_seconds=0.05))
    engines = Engines(BagOfWords())
    with running(Service(Store.open(store), engines, settings, PrometheusMetrics())) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
