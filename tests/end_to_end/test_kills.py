"""kill -9 of real processes: what was acknowledged is learnt, exactly once."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.lessons import lessons
from benchmarks.running_server import RunningServer
from learner.archive import Archive
from perennial.client import Client
from prompt_store import Store
from tests.end_to_end.conftest import Start, learner_of, needs_minilm

pytestmark = [pytest.mark.slow, needs_minilm]

PATIENCE_SECONDS = 120
LONG_TRAINING = ("--learner-q-tuning-minimum-steps", "150", "--learner-gate-mode", "closed")


def teach(client: Client, lesson: int = 0) -> str:
    task = lessons()[lesson]
    rows = [{"input": text, "label": label} for text, label in task.train]
    return client.learn(task.name, rows).batch


def wait_for_status(client: Client, batch: str, wanted: set[str]) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status = client.batch(batch).status
        if status in wanted:
            return status
        time.sleep(0.02)
    raise AssertionError(f"batch {batch} never came to {wanted}")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_whole_server(server: RunningServer) -> None:
    learner = learner_of(server)
    kill(server.process.pid)
    server.process.wait()
    if learner is not None:
        learner.wait(PATIENCE_SECONDS)  # it sees the pipe close and ends by itself


def check_learnt_once(store_path: Path, batches: list[str]) -> None:
    store = Store.open(store_path)
    manifests = [store.manifest(n) for n in range(1, store.timeline().head + 1)]
    assert Counter(b for m in manifests for b in m.batches) == Counter(batches)
    assert Counter(b for m in manifests for b in m.decided) == Counter(batches)
    assert store.intake.pending() == []
    live = store.manifest(store.timeline().live or 0)
    knowledge = Archive(store.blobs).read(live)
    for lesson, _ in zip(lessons(), batches, strict=False):
        assert len(knowledge.tasks[lesson.name].examples.rows) == len(lesson.train)


def test_a_learner_killed_while_training_is_replaced_and_trains_again(
    start: Start, store_path: Path
) -> None:
    with start(*LONG_TRAINING) as server, Client(server.url) as client:
        batch = teach(client)
        wait_for_status(client, batch, {"training"})
        learner = learner_of(server)
        assert learner is not None
        kill(learner.pid)
        assert client.wait(batch, timeout=PATIENCE_SECONDS).status == "published"
        assert client.classify("Where is my parcel?").results[0].predictions[0].label == "delivery"
        successor = learner_of(server)
        assert successor is not None
        assert successor.pid != learner.pid
    check_learnt_once(store_path, [batch])


def test_a_learner_killed_at_random_moments_learns_everything_once(
    start: Start, store_path: Path
) -> None:
    with start("--learner-gate-mode", "closed") as server, Client(server.url) as client:
        batches = []
        for number, moment in enumerate((0.0, 0.1, 0.4)):
            batches.append(teach(client, number))
            time.sleep(moment)  # not for order: to die in different places
            learner = learner_of(server)
            if learner is not None:
                kill(learner.pid)
        for batch in batches:
            assert client.wait(batch, timeout=PATIENCE_SECONDS).status == "published"
    check_learnt_once(store_path, batches)


def test_a_server_killed_right_after_a_202_learns_the_batch_when_it_is_back(
    start: Start, store_path: Path
) -> None:
    with start() as server, Client(server.url) as client:
        batch = teach(client)
        kill_whole_server(server)
    with start() as server, Client(server.url) as client:
        assert client.wait(batch, timeout=PATIENCE_SECONDS).status == "published"
        assert client.classify("Where is my parcel?").results[0].predictions[0].label == "delivery"
    check_learnt_once(store_path, [batch])
