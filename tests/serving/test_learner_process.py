"""The learner beside a local server: its signals, and how it ends."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import pytest

from backbones import Input
from learner.config import LearnerConfig
from learner.events import Event
from prompt_store import Store
from serving.learner_process import LearnerProcess
from serving.submission import Labelled, Submission
from tests.backbones.models import SUPPORTED, save

pytestmark = pytest.mark.slow


def test_sigterm_is_the_servers_to_handle_and_stopping_ends_the_learner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    batch = Submission("t", (Labelled(Input(text="small red"), "small"),), "anybody")
    opened = Store.open(store)
    opened.intake.accept(batch.batch(opened.blobs.put))
    backbone = save(SUPPORTED["bert"], tmp_path / "bert")
    refreshed = threading.Event()

    def observe(event: Event) -> None:
        if event.kind == "refreshed":
            refreshed.set()

    learner = LearnerProcess(str(store), str(backbone), LearnerConfig(), observe)
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
