"""Processes that compute for nobody: what a busy neighbour costs the bare loop.

Clients and HTTP keep the other cores of a small machine busy. Where these share caches, or are two
threads of one core, the encoder beside them is slower than the bare loop, whoever serves.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def busy(cores: int) -> Iterator[None]:
    """So many cores are kept busy meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
