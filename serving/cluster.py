"""The Ray cluster an application runs on: one that is there, or one of its own on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import ray
from ray import serve

from serving.cores import available_cores

DRAIN_SECONDS = "3"
"""How long a replica of a cluster on this machine goes on answering after it was told to stop."""


@contextlib.contextmanager
def cluster(actors: int) -> Iterator[None]:
    """A connection to the cluster at RAY_ADDRESS, else to one that is started and stopped here.

    actors: that an own cluster has room for at least, each taking a core
    """
    os.environ.setdefault("RAY_SERVE_ENABLE_HA_PROXY", "1")
    if "RAY_ADDRESS" in os.environ:
        ray.init()
        yield
        return
    with tempfile.TemporaryDirectory(prefix="perennial-", dir="/tmp") as folder:
        _own_haproxy(Path(folder))
        os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", DRAIN_SECONDS)
        cores = max(available_cores(), actors)
        ray.init(address="local", include_dashboard=False, num_cpus=cores, _temp_dir=folder)
        try:
            yield
        finally:
            serve.shutdown()
            ray.shutdown()


def wait_for_a_signal() -> None:
    """Until SIGINT or SIGTERM, so that a cluster started here is stopped in order."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()


def _own_haproxy(folder: Path) -> None:
    """HAProxy's fixed paths and ports, moved so that two clusters can share a host."""
    os.environ.setdefault("RAY_SERVE_HAPROXY_METRICS_PORT", str(_free_port()))
    os.environ.setdefault("RAY_SERVE_HAPROXY_STATS_PORT", str(_free_port()))
    os.environ.setdefault("RAY_SERVE_HAPROXY_CONFIG_FILE_LOC", str(folder / "haproxy.cfg"))
    os.environ.setdefault("RAY_SERVE_HAPROXY_SOCKET_PATH", str(folder / "haproxy.sock"))
    os.environ.setdefault("RAY_SERVE_HAPROXY_SERVER_STATE_BASE", str(folder))
    os.environ.setdefault("RAY_SERVE_HAPROXY_SERVER_STATE_FILE", str(folder / "server-state"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
