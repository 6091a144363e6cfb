"""The learner beside a local server: its signals, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import orjson
import pytest

from backbones import Input
from learner.config import LearnerConfig
from learner.events import Event
from prompt_store import Store
from serving.learner_process import LearnerProcess
from serving.submission import Labelled, Submission
from serving.trace import begun, trace
from tests.backbones.models import SUPPORTED, save

pytestmark = pytest.mark.slow


def test_sigterm_is_the_servers_to_handle_and_stopping_ends_the_learner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    submission = Submission("t", (Labelled(Input(text="secret text"), "secret label"),), "anybody")
    opened = Store.open(store)
    token = trace.set(begun("ab" * 16))
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
    learner = LearnerProcess(str(store), str(backbone), config, observe)
    with caplog.at_level(logging.INFO, logger="serving"):
        learner.start()
        assert refreshed.wait(60)
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
