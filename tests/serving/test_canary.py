"""A canary over HTTP: its share, its stickiness, what ends it, and that no request fails."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from backbones import Bank, LayerStates, Preprocessed
from backbones.arrays import Rows
from prompt_store import Canary, Kind, Store
from serving.canary import place_of
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, Texts, prefix_of, publish
from tests.serving.running import Running
from tests.serving.served import served
from tests.serving.test_problems import check

CANARY, CLASSIFY, FEEDBACK = "/v1/canary", "/v1/classify", "/v1/feedback"
REFUND = "i want a refund now"
SWAPPED: Texts = {
    "mail": {"refund": MAIL["mail"]["delivery"], "delivery": MAIL["mail"]["refund"]},
}
"""A version that answers wrongly."""
LIVE, CANDIDATE = 1, 2
CALLERS = 50


@pytest.fixture
def running(store: Store, backbone: BagOfWords, serve: Serve) -> Running:
    """A server whose candidate answers the contrary of what is live."""
    return _serve(store, backbone, serve, SWAPPED)


def _serve(store: Store, backbone: BagOfWords, serve: Serve, candidate: Texts) -> Running:
    publish(store, backbone, MAIL)
    publish(store, backbone, candidate, kind=Kind.CANDIDATE)
    return serve(store, backbone)


def _start(client: httpx.Client, percent: float, version: int = CANDIDATE, **rules: float) -> int:
    body = {"version": version, "percent": percent, "rules": rules}
    answer = client.put(CANARY, json=body)
    assert answer.status_code == 200, answer.text
    entry: int = answer.json()["canary"]["entry"]
    return entry


def _ask(client: httpx.Client, text: str = REFUND, caller: str | None = None, **asked: Any) -> Any:
    headers = {} if caller is None else {"X-Perennial-Caller": caller}
    answer = client.post(CLASSIFY, json={"inputs": text, **asked}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _versions(client: httpx.Client, callers: int) -> list[int]:
    return [_ask(client, caller=f"caller {n}")["version"] for n in range(callers)]


def _chosen(percent: float, count: int) -> list[str]:
    """Callers whom the canary answers."""
    names = (f"caller {n}" for n in itertools.count())
    chosen = (name for name in names if 100 * place_of(name.encode(), CANDIDATE) < percent)
    return list(itertools.islice(chosen, count))


def _until_ended(running: Running, entry: int) -> dict[str, Any]:
    """What is said once something is in the log after this entry."""
    running.wait(running.service.watcher.followed(entry + 1))
    state: dict[str, Any] = running.client.get(CANARY).json()
    assert state["canary"] is None
    return state


def test_its_share_of_the_traffic_is_the_one_asked_for(running: Running) -> None:
    percent, callers, lines = 20.0, 100, 800
    _start(running.client, percent)
    by_caller = Counter(_versions(running.client, callers))
    texts = b"\n".join(orjson.dumps(f"refund number {n}") for n in range(lines))
    headers = {"Content-Type": "application/x-ndjson"}
    answers = running.client.post(CLASSIFY, content=texts, headers=headers).content.splitlines()
    by_content = Counter(orjson.loads(line)["version"] for line in answers)
    for counted in (by_caller, by_content):
        asked = counted.total()
        deviation = math.sqrt(asked * percent * (100 - percent)) / 100
        assert abs(counted[CANDIDATE] - asked * percent / 100) < 4 * deviation  # p = 6e-5
    both = by_caller + by_content
    assert both.total() == callers + lines
    figures = running.client.get(CANARY).json()["comparison"]
    assert figures["requests"] == {"canary": both[CANDIDATE], "live": both[LIVE]}


def test_a_caller_keeps_its_version_and_a_larger_share_takes_nobody_back(
    running: Running, backbone: BagOfWords, store: Store, serve: Serve
) -> None:
    client = running.client
    _start(client, 10)
    few = _versions(client, CALLERS)
    assert {LIVE, CANDIDATE} == set(few)
    assert _versions(client, CALLERS) == few
    another_replica = serve(store, backbone)
    assert _versions(another_replica.client, CALLERS) == few
    _start(client, 40)
    more = _versions(client, CALLERS)
    assert all(after == CANDIDATE for before, after in zip(few, more, strict=True) if before == 2)
    assert Counter(more)[CANDIDATE] > Counter(few)[CANDIDATE]
    assert {_ask(client, "the same text")["version"] for _ in range(5)} < {LIVE, CANDIDATE}


def test_who_names_a_version_or_a_class_that_it_does_not_know_is_left_alone(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, BOTH)
    publish(store, backbone, SWAPPED, kind=Kind.CANDIDATE)
    client = serve(store, backbone).client
    _start(client, 100)
    assert _ask(client)["version"] == CANDIDATE
    assert _ask(client, version=LIVE)["version"] == LIVE
    assert _ask(client, min_version=LIVE)["version"] == LIVE
    assert _ask(client, "so happy", task="mood")["version"] == LIVE
    assert _ask(client, task="mail")["version"] == CANDIDATE


@pytest.mark.slow
def test_it_survives_a_restart(tmp_path: Path, backbone: BagOfWords) -> None:
    folder = tmp_path / "store"
    store = Store.open(folder)
    publish(store, backbone, MAIL)
    publish(store, backbone, SWAPPED, kind=Kind.CANDIDATE)
    with served(folder) as (url, _), httpx.Client(base_url=url) as client:
        _start(client, 30)
        seen = _versions(client, CALLERS)
    assert {LIVE, CANDIDATE} == set(seen)
    with served(folder) as (url, _), httpx.Client(base_url=url) as client:
        assert _versions(client, CALLERS) == seen


def test_ended_by_a_caller_it_ends_at_all_replicas(
    running: Running, store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    _start(running.client, 30)
    other = serve(store, backbone)
    assert set(_versions(other.client, CALLERS)) == {LIVE, CANDIDATE}
    ended = running.client.delete(CANARY).json()
    other.wait(other.service.watcher.followed(ended["ended"]["entry"]))
    assert {*_versions(running.client, CALLERS), *_versions(other.client, CALLERS)} == {LIVE}
    assert ended["ended"]["reason"] == "a caller ended it"
    assert running.client.delete(CANARY).json() == ended
    assert store.timeline().head == ended["ended"]["entry"]


def test_harm_by_feedback_ends_it_and_the_log_says_why(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    running = _serve(store, backbone, serve, SWAPPED)
    client, other = running.client, serve(store, backbone)
    entry = _start(client, 10)
    with client.stream("GET", "/v1/events") as events:
        for name in _chosen(10, 12):
            truth = {"prediction_id": _ask(client, caller=name)["results"][0]["id"]}
            client.post(FEEDBACK, json={"feedback": {**truth, "label": "refund"}})
        state = _until_ended(running, entry)
        told = next(line for line in events.iter_lines() if '"canary"' in line)
    assert state["ended"]["reason"].startswith("feedback: of 1")
    assert state["ended"]["reason"].endswith("and the canary 0")
    assert orjson.loads(told.removeprefix("data: "))["message"].startswith("ended: feedback")
    written = client.get(f"/v1/versions/{entry + 1}").json()
    assert (written["kind"], written["writer"]) == ("canary", "replica")
    assert written["canary"]["reason"] == state["ended"]["reason"]
    other.wait(other.service.watcher.followed(entry + 1))
    assert {*_versions(client, CALLERS), *_versions(other.client, CALLERS)} == {LIVE}
    measured = client.get("/metrics").text
    assert 'perennial_canary_stops_total{reason="feedback"} 1.0' in measured
    assert "perennial_canary_percent 0.0" in measured


def test_a_good_one_is_compared_and_goes_on(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    running = _serve(store, backbone, serve, MAIL)
    client = running.client
    entry = _start(client, 10)
    names = _chosen(10, 12)
    for name in names:
        truth = {"prediction_id": _ask(client, caller=name)["results"][0]["id"]}
        client.post(FEEDBACK, json={"feedback": {**truth, "label": "refund"}})
    while (state := client.get(CANARY).json())["comparison"]["compared"] < len(names):
        assert state["canary"]["entry"] == entry  # live's answers come after the canary's
    figures = state["comparison"]
    assert figures["agreement"] == 1.0
    assert figures["feedback"] == {"both": len(names), "canary": 0, "live": 0, "neither": 0}
    assert figures["errors"] == 0
    assert figures["median_seconds"]["canary"] > 0
    assert figures["median_seconds"]["live"] is None  # nobody else has asked


def test_live_answers_a_sample_of_a_large_share_as_well(running: Running) -> None:
    lines = 600
    _start(running.client, 100)
    texts = b"\n".join(orjson.dumps(f"refund number {n}") for n in range(lines))
    running.client.post(CLASSIFY, content=texts, headers={"Content-Type": "application/x-ndjson"})
    while not (figures := running.client.get(CANARY).json()["comparison"])["compared"]:
        pass  # live's answers come after the canary's
    assert figures["requests"] == {"canary": lines, "live": 0}
    assert figures["compared"] < lines / 10 + 4 * math.sqrt(lines * 0.1 * 0.9)


class Breaking(BagOfWords):
    """Fails the passes of one version."""

    def encode_layers(
        self, batch: Preprocessed, bank: Bank | None = None, rows: Rows | None = None
    ) -> LayerStates:
        on_pass = rows is not None and len(rows) > 0 and batch.lengths.max() > 2
        if on_pass and bank is not None and np.any(bank.keys_values[np.asarray(rows)] == 42):
            raise RuntimeError("this version breaks")
        return super().encode_layers(batch, bank, rows)


def test_errors_end_it_and_live_answers_those_requests_too(store: Store, serve: Serve) -> None:
    backbone = Breaking()
    prefix = prefix_of(backbone, 3, seed=0)
    prefix.keys_values[...] = 42
    publish(store, backbone, MAIL)
    publish(store, BagOfWords(), SWAPPED, kind=Kind.CANDIDATE, aggregate=prefix)
    running = serve(store, backbone)
    entry = _start(running.client, 50)
    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(_ask, running.client, f"give me refund number {n}") for n in range(40)
        ]
    assert {one.result()["version"] for one in asked} == {LIVE}
    assert _until_ended(running, entry)["ended"]["reason"].startswith("errors: the canary failed")


def test_what_a_person_decides_ends_it_and_what_is_learnt_does_not(
    running: Running, store: Store, backbone: BagOfWords
) -> None:
    client = running.client
    entry = _start(client, 100)
    learnt = publish(store, backbone, BOTH).version
    running.reach(learnt)
    assert client.get(CANARY).json()["canary"]["entry"] == entry
    assert _ask(client)["version"] == CANDIDATE
    back = client.post(f"/v1/versions/{LIVE}/promote").json()["version"]
    state = client.get(CANARY).json()
    assert (state["canary"], state["comparison"]) == (None, None)
    assert (state["ended"]["entry"], state["ended"]["kind"]) == (back, "rollback")
    assert _ask(client)["version"] == back
    _start(client, 100)
    made = client.post(f"/v1/versions/{CANDIDATE}/promote").json()["version"]
    assert _ask(client)["version"] == made
    assert client.get(CANARY).json()["canary"] is None
    assert _start(client, 5, version=LIVE) == made + 1
    publish(store, backbone, MAIL, kind=Kind.FORGET)
    assert _until_ended(running, made + 1)["ended"]["kind"] == "forget"


def test_no_request_fails_while_canaries_come_and_go(running: Running) -> None:
    client, done = running.client, Event()

    def ask(seed: int) -> set[int]:
        seen = set()
        with httpx.Client(base_url=running.url, timeout=30) as own:
            while not done.is_set():
                seen.add(_ask(own, caller=f"caller {seed}")["version"])
        return seen

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, seed) for seed in range(4)]
        try:
            for _ in range(5):
                _start(client, 50)
                client.delete(CANARY)
                _start(client, 100)
                client.post(f"/v1/versions/{CANDIDATE}/promote")
                client.post(f"/v1/versions/{LIVE}/promote")
        finally:
            done.set()
        seen = set[int]().union(*(one.result() for one in asking))
    assert CANDIDATE in seen


def test_said_again_it_changes_nothing_and_changed_it_begins_anew(
    running: Running, store: Store
) -> None:
    client = running.client
    entry = _start(client, 100)
    _ask(client)
    assert _start(client, 100) == entry == store.timeline().head
    assert client.get(CANARY).json()["comparison"]["requests"]["canary"] == 1
    assert _start(client, 100, errors=7) == entry + 1
    state = client.get(CANARY).json()
    assert state["canary"]["rules"]["errors"] == 7
    assert state["comparison"]["requests"]["canary"] == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"percent": 0}, "#/percent"),
        ({"percent": 101}, "#/percent"),
        ({"version": LIVE}, "#/version"),
        ({"rules": {"errors": 0}}, "#/rules/errors"),
        ({"rules": {"typo": 1}}, "#/rules/typo"),
    ],
)
def test_what_is_no_canary(running: Running, change: dict[str, Any], pointer: str) -> None:
    answer = running.client.put(CANARY, json={"version": CANDIDATE, "percent": 5, **change})
    problem = check(answer, "invalid-content")
    assert [one["pointer"] for one in problem["errors"]] == [pointer]


def test_versions_without_content_are_no_canaries(running: Running, store: Store) -> None:
    client = running.client
    entry = _start(client, 5)
    store.fence("test")
    for number in (entry, entry + 1):
        answer = client.put(CANARY, json={"version": number, "percent": 5})
        check(answer, "not-promotable")
        check(client.post(f"/v1/versions/{number}/promote"), "not-promotable")
        pinned = client.post(CLASSIFY, json={"inputs": "a", "version": number})
        check(pinned, "version-not-loadable")
    check(client.put(CANARY, json={"version": 99, "percent": 5}), "unknown-version")


def test_one_that_a_replica_cannot_serve_is_told_and_live_answers(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    foreign = publish(store, BagOfWords("another"), MAIL, kind=Kind.CANDIDATE).version
    store.start_canary(Canary(version=foreign, percent=100), "test")
    client = serve(store, backbone).client
    assert _ask(client)["version"] == LIVE
    assert "the canary: version 2 was made for" in client.get("/v1/info").json()["trouble"][0]
    state = client.get(CANARY).json()
    assert (state["canary"]["version"], state["comparison"]) == (foreign, None)
