"""SIGTERM under load: what was asked is answered, what was accepted is kept and learnt."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import psutil
import pytest

from benchmarks.running_server import RunningServer, running_server
from perennial.client import Client
from prompt_store import Store
from tests.serving.talking import talking

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 120
ASKING, TEACHING = 12, 4
ROWS = [("red", "a"), ("blue", "b")] * 2
JSON = {"Content-Type": "application/json"}


@dataclass
class Load:
    """Clients on connections that they keep until the server closes them, as a balancer's do.

    statuses: of all answers; batches: that were accepted
    """

    url: str
    statuses: list[int] = field(default_factory=list)
    batches: list[str] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        """Asks and asks. Raises whatever breaks a request off."""
        body = orjson.dumps({"inputs": ["red", "a longer text about blue things"]})
        for _ in self._answers("/v1/classify", body):
            pass

    def teach(self) -> None:
        """Hands in batch after batch."""
        examples = [{"input": text, "label": label} for text, label in ROWS]
        for answer in self._answers(
            "/v1/tasks/colours/examples", orjson.dumps({"examples": examples})
        ):
            self.batches.append(orjson.loads(answer)["batch"])

    def _answers(self, path: str, body: bytes) -> Iterator[bytes]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        while True:
            connection.request("POST", path, body, JSON)
            answer = connection.getresponse()
            content = answer.read()
            self.statuses.append(answer.status)
            if answer.status < 300:
                yield content
            if len(self.statuses) > 20 * ASKING and self.batches:
                self.enough.set()
            if answer.getheader("Connection") == "close":
                return


def readiness(url: str) -> list[int]:
    """The answers of a probe until nobody listens any more."""
    said = []
    with suppress(httpx.ConnectError):
        while True:
            said.append(httpx.get(f"{url}/health/ready").status_code)
    return said


def end_now(server: RunningServer) -> None:
    """A second signal, while the first one waits for an open connection."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/health/ready").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)):
            while client.get("/health/ready").status_code == 200:
                pass
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    _, alive = psutil.wait_procs(children, PATIENCE_SECONDS)
    assert not alive


def test_sigterm_under_load_loses_nothing_and_a_second_one_waits_for_nothing(
    tmp_path: Path, small_bert: list[str]
) -> None:
    flags = [*small_bert, "--runtime", "torch", "--polling-heartbeat-seconds", "1000"]
    log = tmp_path / "log"
    with running_server(flags, log) as server, ThreadPoolExecutor(ASKING + TEACHING + 2) as pool:
        with Client(server.url) as client:
            client.wait(client.learn("colours", ROWS), until="refreshed", timeout=PATIENCE_SECONDS)
        load = Load(server.url)
        with talking(server.url) as idle, httpx.Client() as listener:
            idle.say("red", "blue")
            assert "version" in (idle.hear() or {})
            with listener.stream("GET", f"{server.url}/v1/events", timeout=60) as events:
                clients: list[Future[None]] = []
                clients += [pool.submit(load.ask) for _ in range(ASKING)]
                clients += [pool.submit(load.teach) for _ in range(TEACHING)]
                probe = pool.submit(readiness, server.url)
                assert load.enough.wait(PATIENCE_SECONDS)
                server.process.send_signal(signal.SIGTERM)
                for one in clients:
                    one.result()  # raises what broke one of its requests off
                events.read()  # to its end, in order
            *answered, told = idle.rest()
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert set(load.statuses) == {200, 202}
        assert "version" in answered[0]
        assert told["error"]["type"].endswith("/not-ready")
        said = probe.result()
        assert (said[0], said[-1]) == (200, 503)
        assert said == sorted(said)
    assert "exceeded" not in log.read_text()  # nobody had to be broken off
    assert "Traceback" not in log.read_text()
    patient = ["--stopping-drain-seconds", "600"]
    with running_server([*flags, *patient], log) as server:
        with Client(server.url) as client:
            for batch in load.batches:
                client.wait(batch, until="published", timeout=PATIENCE_SECONDS)
        end_now(server)
    store = Store.open(tmp_path / "store")
    assert store.intake.pending() == []
    assert len(load.batches) == len(set(load.batches))
