"""A real server for a benchmark: a process of its own on a free port, ended with the benchmark."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

START_SECONDS = 400
STOP_SECONDS = 60
POLL_SECONDS = 0.02
SERVE = ("perennial", "serve")
CLASSIFIER = "ServeReplica:perennial:Classifier"
IDLE = 'perennial_learner_phase{phase="idle"} 1.0'


class NotStarted(RuntimeError):
    """The server ended, or did not become ready in time; carries the end of its log."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers at `url`.

    started: when its process was, by `time.monotonic`;  ready_after: seconds from then until it
    said that it was ready
    """

    url: str
    process: subprocess.Popen[bytes]
    started: float
    ready_after: float

    @property
    def megabytes(self) -> float:
        """Resident memory of its own process."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def processes(self) -> list[psutil.Process]:
        """Its own and all that it has started."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Of all its processes so far; ended ones count with their parent."""
        times = [process.cpu_times() for process in self.processes()]
        return float(sum(t.user + t.system + t.children_user + t.children_system for t in times))

    def replica_pids(self, of: str = CLASSIFIER) -> list[int]:
        """Processes of a deployment's replicas (Ray only), found among the server's descendants."""
        return [p.pid for p in self.processes() if _is_replica(p, of)]

    def until_learner_idles(self) -> None:
        """Returns once the learner beside a local server has started and has nothing to do.

        Raises NotStarted.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if IDLE in httpx.get(f"{self.url}/metrics", timeout=30).text:
                return
            time.sleep(10 * POLL_SECONDS)
        raise NotStarted("the learner did not come to rest")


@contextmanager
def running_server(
    arguments: Sequence[str], log_path: Path, program: Sequence[str] = SERVE
) -> Iterator[RunningServer]:
    """`perennial serve` with these arguments. Raises NotStarted.

    program: another module to run, and its command; it is told its `--port` and becomes ready
    """
    port = free_port()
    command = [sys.executable, "-m", *program, "--port", str(port), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with running(command, port, environment, log_path) as server:
        yield server


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    environment: Mapping[str, str],
    log_path: Path,
    ready: str = "/health/ready",
) -> Iterator[RunningServer]:
    """A server that `command` starts on `port`, once `ready` is answered. Raises NotStarted."""
    with log_path.open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(url + ready, process, log_path)
            yield RunningServer(url, process, started, time.monotonic() - started)
        finally:
            stop(process)


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(ready: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=2) as http:  # made once: that takes milliseconds
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.TransportError):
                if http.get(ready).status_code == 200:
                    return
            time.sleep(POLL_SECONDS)
    raise NotStarted(
        f"the server did not start; the end of its log:\n{log_path.read_text()[-2000:]}"
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it has started."""
    descendants = _descendants(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for orphan in descendants:
        if orphan.is_running():
            orphan.kill()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _is_replica(process: psutil.Process, of: str) -> bool:
    try:
        return any(of in part for part in process.cmdline())
    except psutil.Error:
        return False
