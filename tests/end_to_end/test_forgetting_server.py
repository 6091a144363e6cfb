"""Forgetting on real servers: a learner killed at it, a restart, and a twin that never knew."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lessons import lessons
from benchmarks.running_server import RunningServer, running_server
from learner.archive import Archive
from learner.statistics import ClassStatistics
from perennial.client import Batch, Client, Erasure, Forgetting
from prompt_store import Store
from tests.end_to_end.conftest import learner_of, needs_minilm

pytestmark = [pytest.mark.slow, needs_minilm]

PATIENCE_SECONDS = 120
TRAINS = (
    *("--learner-method", "q-tuning", "--learner-gate-mode", "open"),
    *("--learner-q-tuning-minimum-steps", "2", "--learner-q-tuning-maximum-steps", "4"),
)
MAIL = lessons()[0]
HOME = lessons()[2].train[::2]
GONE = sorted({label for _, label in MAIL.train})[0]
KEPT = [(text, label) for text, label in MAIL.train if label != GONE]
TEXTS = [text for text, _ in (*MAIL.train, *HOME)]


def teach(client: Client, task: str, rows: Sequence[tuple[str, str]], name: str) -> Batch:
    """One batch, so that it is encoded alike everywhere; its examples are `<name>-<number>`."""
    body = [
        {"input": text, "label": label, "id": f"{name}-{number}"}
        for number, (text, label) in enumerate(rows)
    ]
    return client.learn(task, body)


def wait(client: Client, *batches: Batch) -> None:
    for one in batches:
        assert client.wait(one, timeout=PATIENCE_SECONDS).status == "published"


def forgotten(client: Client, asked: Forgetting) -> Erasure:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (report := client.erasure(asked)).status == "forgetting":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.classify("any", min_version=report.version)
    return report


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[tuple[Client, RunningServer]]:
    arguments = ["--engine", "local", "--store", str(folder), *flags]
    with (
        running_server(arguments, folder.with_suffix(".log")) as server,
        Client(server.url) as client,
    ):
        yield client, server


def scores(client: Client) -> dict[tuple[int, str, str], float]:
    live = client.versions(limit=1).live
    answers = client.classify(TEXTS, top_k=100, min_version=live).results
    return {
        (number, one.task, one.label): one.score
        for number, answer in enumerate(answers)
        for one in answer.predictions
    }


def statistics(folder: Path) -> ClassStatistics:
    store = Store.open(folder)
    (domain,) = Archive(store.blobs).read(store.manifest(store.timeline().live or 0)).domains
    assert domain.statistics is not None
    return domain.statistics


@pytest.mark.timeout(900)  # three servers, one after the other
def test_what_is_forgotten_is_as_if_never_seen(tmp_path: Path) -> None:
    knew, never = tmp_path / "knew", tmp_path / "never"
    with serving(knew, *TRAINS) as (client, server):
        wait(
            client,
            teach(client, "mail", KEPT, "kept"),
            teach(client, "home", HOME, "home"),
            teach(client, "mail", [row for row in MAIL.train if row[1] == GONE], "class"),
            teach(client, "mail", [(text, KEPT[0][1]) for text, _ in HOME[:5]], "wrong"),
        )
        assert client.task("mail").prompt != "none"
        asked = client.forget("mail", label=GONE)
        learner = learner_of(server)
        assert learner is not None
        os.kill(learner.pid, signal.SIGKILL)
        report = forgotten(client, asked)
        assert (report.classes, report.exact) == (1, True)
        assert report.prompts_dropped
        report = forgotten(
            client, client.forget("mail", ids=[f"wrong-{number}" for number in range(5)])
        )
        assert (report.examples, report.classes, report.not_found) == (5, 0, 0)
    with serving(knew, *TRAINS) as (client, _):
        left = scores(client)
        assert client.erasure(asked).older_versions[0].first == 1
    with serving(never, "--learner-method", "frozen") as (client, _):
        wait(client, teach(client, "mail", KEPT, "kept"), teach(client, "home", HOME, "home"))
        plain = scores(client)
    assert left.keys() == plain.keys()
    assert max(abs(left[one] - plain[one]) for one in plain) < 1e-6
    mine, other = statistics(knew), statistics(never)
    mine = mine.select(other.classes)
    np.testing.assert_array_equal(mine.counts, other.counts)
    np.testing.assert_allclose(mine.sums, other.sums, rtol=0, atol=1e-9)
    np.testing.assert_allclose(mine.scatter, other.scatter, rtol=0, atol=1e-9)
    store = Store.open(knew)
    done = [m.metrics["erasure"] for m in store.manifests(100) if m.kind == "forget"]
    assert len(done) == len(set(done)) == 2
    assert asked.erasure in done
    assert store.erasures.pending() == []
    assert store.intake.pending() == []
