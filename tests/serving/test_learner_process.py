"""The learner beside a local server: its signals, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from backbones import Input
from learner.config import LearnerConfig
from learner.events import Event
from prompt_store import Store
from serving.learner_process import LearnerProcess
from serving.submission import Labelled, Submission
from serving.trace import Trace, trace
from tests.backbones.models import SUPPORTED, save
from tests.serving.collector import Collector, collecting

pytestmark = pytest.mark.slow


@pytest.fixture
def collector() -> Iterator[Collector]:
    """For the learner's spans."""
    with collecting() as collector:
        yield collector


def test_sigterm_is_the_servers_to_handle_and_stopping_ends_the_learner(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    collector: Collector,
) -> None:
    store = tmp_path / "store"
    submission = Submission("t", (Labelled(Input(text="secret text"), "secret label"),), "anybody")
    opened = Store.open(store)
    token = trace.set(Trace("ab" * 16, "cd" * 8, "01"))
    batch = submission.batch(opened.blobs.put)
    trace.reset(token)
    opened.intake.accept(batch)
    backbone = save(SUPPORTED["bert"], tmp_path / "bert")
    capfd.readouterr()  # what saving says
    refreshed = threading.Event()

    def observe(event: Event) -> None:
        if event.kind == "refreshed":
            refreshed.set()

    config = LearnerConfig(method="frozen")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    learner = LearnerProcess(str(store), str(backbone), config, observe)
    with caplog.at_level(logging.INFO, logger="serving"):
        learner.start()
        assert refreshed.wait(150)
        pid = learner.pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, 0)  # raises where it is gone
        learner.stop()
    assert learner.pid == pid
    assert learner.exit_code == 0
    assert [record.getMessage() for record in caplog.records] == ["stopping the learner"]
    said = capfd.readouterr().err
    assert "secret" not in said
    lines = [orjson.loads(line) for line in said.splitlines()]
    told = {line["message"]: line for line in lines if line.get("batch") == batch.id}
    line = told["learner: refreshed"]
    assert (line["trace"], line["task"], line["version"]) == ("ab" * 16, "t", 2)
    for name in ("refresh", "publish"):
        assert {span.trace_id.hex() for span in collector.named(name)} == {"ab" * 16}
