"""A server, and who starts it again: its processes by role."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.running_server import CLASSIFIER, free_port, stop

Roles = Mapping[str, str | None]
"""What the command line of a role's processes contains; None: the server's own process."""

ROLES: Mapping[str, Roles] = {
    "local": {"server": None, "learner": "spawn_main"},
    "ray": {
        "replica": CLASSIFIER,
        "learner": "ServeReplica:perennial:Learner",
        "controller": "ServeController",
    },
}
ORPHAN_SECONDS = 60


class Supervised:
    """A server that is started again at once whenever it has ended, on the same port and store."""

    def __init__(self, arguments: Sequence[str], roles: Roles, log_path: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        serve = [sys.executable, "-m", "perennial", "serve", "--port", str(port)]
        self._command = [*serve, *arguments]
        self._roles = roles
        self._log_path = log_path
        self._left: list[psutil.Process] = []
        self._process = self._start()
        self.starts = 1

    def restart_if_ended(self) -> bool:
        """Whether it had."""
        if self._process.poll() is None:
            return False
        self._process = self._start()
        self.starts += 1
        return True

    def pids(self, role: str) -> list[int]:
        """Of a role's processes that are there now."""
        if self._process.poll() is not None:
            return []
        part = self._roles[role]
        if part is None:
            return [self._process.pid]
        return [p.pid for p in self._descendants() if part in _command_of(p)]

    def kill(self, pid: int) -> bool:
        """With SIGKILL; False where it has just ended by itself."""
        self._left += self._descendants()  # the server's orphans are to end by themselves
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
            return True
        return False

    def stop(self) -> int:
        """End it in order; how many orphans of killed servers were still there."""
        stop(self._process)
        _, alive = psutil.wait_procs(self._left, timeout=ORPHAN_SECONDS)
        for orphan in alive:
            orphan.kill()
        return len(alive)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def _descendants(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
