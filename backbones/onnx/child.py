"""Heavy work in a process of its own: who serves never imports what it takes.

The child ends with who asked: its standard input is a pipe that nobody writes to, and that closes
when the parent is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Final

from backbones.errors import UnsupportedModel

PATIENCE_SECONDS: Final = 600
"""How long the work may take; another process's is waited for as long."""
_SAID: Final = 2000
"""Characters of a failed child's output that are passed on."""


def run(module: str, arguments: Sequence[str], failure: str) -> None:
    """`python -m module arguments`.

    failure: how a message that it failed begins. Raises UnsupportedModel.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    listens, held = os.pipe()
    try:
        done = subprocess.run(
            command,
            stdin=listens,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsupportedModel(f"{failure} in {PATIENCE_SECONDS} s") from error
    finally:
        os.close(listens)
        os.close(held)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-_SAID:]
        raise UnsupportedModel(f"{failure}; its process ended with {done.returncode}:\n{said}")


def end_with_the_parent() -> None:
    """Called by the child's main."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
