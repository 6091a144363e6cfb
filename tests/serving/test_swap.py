"""Swapping versions under traffic: nothing fails, nothing mixes, nothing is stale."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from learner import content
from learner.domain import ALL
from learner.heads import LinearHead
from learner.heads.viewed import ViewedHead
from learner.view import LAST
from prompt_store import Kind, Store
from tests.serving.bag_of_words import BagOfWords, HeldBagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, commit, prefix_of, publish
from tests.serving.running import Running
from tests.serving.test_problems import check

CLASSIFY = "/v1/classify"
WORDS = ["so happy", "where is my parcel", "i want a refund now"]


def _labels(answer: dict[str, Any]) -> set[str]:
    return {one["label"] for result in answer["results"] for one in result["predictions"]}


def test_a_published_version_is_served_without_being_told(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    first = publish(any_store, backbone, MAIL).version
    running = serve(any_store, backbone)
    assert running.client.get("/v1/info").json()["version"] == first
    second = publish(any_store, backbone, BOTH).version
    running.reach(second)
    answer = running.client.post(CLASSIFY, json={"inputs": "so happy"}).json()
    assert (answer["version"], _labels(answer)) == (
        second,
        {"glad", "cross", "refund", "delivery"},
    )


def test_a_nudge_is_enough_where_polling_is_rare(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone, polling={"versions_seconds": 3600})
    second = publish(store, backbone, BOTH).version
    running.on_loop(lambda: running.service.refresh(second))
    with running.client.stream("GET", "/v1/events"):
        running.wait(running.service.watcher.reached(second))
    assert running.client.get("/v1/info").json()["version"] == second


class Traffic:
    """Clients that ask all the time, and what they got: version, results missing, tasks named."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = threading.Event()
        self._news = threading.Condition()
        self.seen: list[tuple[int, int, set[str]]] = []

    def ask(self, seed: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._done.is_set():
                count = 1 + (len(self.seen) + seed) % 11
                answer = client.post(CLASSIFY, json={"inputs": ["so happy"] * count})
                assert answer.status_code == 200, answer.text
                body = answer.json()
                tasks = {p["task"] for r in body["results"] for p in r["predictions"]}
                with self._news:
                    self.seen.append((body["version"], len(body["results"]) - count, tasks))
                    self._news.notify_all()

    def wait_for(self, version: int) -> None:
        """Returns when somebody got this version."""
        with self._news:
            got = self._news.wait_for(lambda: any(v == version for v, _, _ in self.seen), 30)
        assert got

    def stop(self) -> None:
        self._done.set()


def test_versions_swap_under_traffic_and_no_answer_mixes_them(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    """Every version has one task of its own name, so an answer shows which version made it."""
    running = serve(store, backbone, batching={"inputs": 4, "tokens": 64})
    _publish_own_task(store, backbone, 1)
    running.reach(1)
    traffic = Traffic(running.url)
    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(traffic.ask, seed) for seed in range(4)]
        try:
            for number in range(2, 22):
                _publish_own_task(store, backbone, number)
                traffic.wait_for(number)
        finally:
            traffic.stop()
        for one in asking:
            one.result()
    assert all(missing == 0 for _, missing, _ in traffic.seen)
    assert all(tasks == {f"task-{version}"} for version, _, tasks in traffic.seen)


def _publish_own_task(store: Store, backbone: BagOfWords, number: int) -> None:
    prefix = prefix_of(backbone, 1 + number % 3, seed=number)
    texts = {f"task-{number}": dict(BOTH["mood"])}
    assert publish(store, backbone, texts, aggregate=prefix).version == number


def test_each_client_sees_versions_in_order(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    running = serve(store, backbone)
    seen = []
    for number in range(1, 6):
        running.reach(publish(store, backbone, MAIL).version)
        answer = running.client.post(CLASSIFY, json={"inputs": "a", "min_version": number}).json()
        seen.append(answer["version"])
    assert seen == [1, 2, 3, 4, 5]


def test_a_pass_under_way_ends_on_the_version_it_began_with(
    store: Store, held: HeldBagOfWords, serve: Serve
) -> None:
    first = publish(store, held, MAIL).version
    running = serve(store, held)
    held.hold()
    with ThreadPoolExecutor(2) as threads:
        early = threads.submit(running.client.post, CLASSIFY, json={"inputs": "a"})
        held.wait_for_pass()
        second = publish(store, held, BOTH).version
        running.reach(second)
        late = threads.submit(running.client.post, CLASSIFY, json={"inputs": "a"})
        held.release()
        assert early.result().json()["version"] == first
        assert late.result().json()["version"] == second


def test_long_work_stays_on_one_version_while_others_move_on(
    store: Store, held: HeldBagOfWords, serve: Serve
) -> None:
    first = publish(store, held, MAIL).version
    running = serve(store, held, batching={"inputs": 2, "tokens": 1000})
    held.hold()
    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(running.client.post, CLASSIFY, json={"inputs": ["so happy"] * 7})
        held.wait_for_pass()
        second = publish(store, held, BOTH).version
        running.reach(second)
        held.release()
        body = long.result().json()
    assert body["version"] == first
    assert _labels(body) == {"refund", "delivery"}
    assert running.client.post(CLASSIFY, json={"inputs": "a"}).json()["version"] == second


def test_pinned_versions_are_answered_beside_the_live_one_in_one_pass(
    store: Store, held: HeldBagOfWords, serve: Serve
) -> None:
    prefixes = [prefix_of(held, rows, seed=rows) for rows in (0, 2, 5)]
    for prefix in prefixes:
        publish(store, held, BOTH, aggregate=prefix if prefix.keys_values.shape[3] else None)
    running = serve(store, held)
    ask = {"inputs": WORDS, "top_k": 4}
    alone = {v: running.client.post(CLASSIFY, json={**ask, "version": v}).json() for v in (1, 2, 3)}
    held.hold()
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(running.client.post, CLASSIFY, json={"inputs": "a"})
        for _ in range(1 + len(alone)):
            held.wait_for_pass()
        together = {
            version: threads.submit(
                running.client.post,
                CLASSIFY,
                json={**ask, **({"version": version} if version else {})},
            )
            for version in (1, 2, 3, None)
        }
        _wait_until_waiting(running, 4 * len(WORDS))
        held.release()
        first.result()
        answers = {version: one.result().json() for version, one in together.items()}
    assert held.sizes[-1] == 4 * len(WORDS)
    for version, answer in answers.items():
        expected = alone[version or 3]
        assert answer["version"] == (version or 3)
        for got, wanted in zip(answer["results"], expected["results"], strict=True):
            assert [one["label"] for one in got["predictions"]] == [
                one["label"] for one in wanted["predictions"]
            ]
            assert [one["score"] for one in got["predictions"]] == pytest.approx(
                [one["score"] for one in wanted["predictions"]], rel=1e-4
            )
    assert alone[1]["results"][0]["predictions"] != alone[2]["results"][0]["predictions"]


def _wait_until_waiting(running: Any, inputs: int) -> None:
    while running.on_loop(lambda: running.service.batcher.waiting) < inputs:
        pass


def test_only_so_many_pinned_versions_are_kept(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    for _ in range(5):
        publish(store, backbone, MAIL)
    client = serve(store, backbone, pinned_versions=2).client
    for version in (1, 2, 1, 3, 5):
        answer = client.post(CLASSIFY, json={"inputs": "a", "version": version})
        assert answer.json()["version"] == version
    assert client.get("/v1/info").json()["pinned"] == [1, 3]


def test_a_version_that_is_not_here_yet(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone)
    answer = running.client.post(CLASSIFY, json={"inputs": "a", "min_version": 2})
    assert check(answer, "version-not-loaded")["version"] == 1
    assert answer.headers["Retry-After"] == "1"
    running.reach(publish(store, backbone, MAIL).version)
    assert (
        running.client.post(CLASSIFY, json={"inputs": "a", "min_version": 2}).json()["version"] == 2
    )
    contrary = {"inputs": "a", "version": 1, "min_version": 2}
    check(running.client.post(CLASSIFY, json=contrary), "invalid-content")


def test_promoting_an_old_version_brings_its_answers_back(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(any_store, backbone, MAIL)
    publish(any_store, backbone, BOTH)
    told: list[int] = []
    client = serve(any_store, backbone, hooks={"nudge": told.append}).client
    promoted = client.post("/v1/versions/1/promote").json()
    assert (promoted["version"], promoted["kind"], promoted["source"]) == (3, "rollback", 1)
    answer = client.post(CLASSIFY, json={"inputs": "so happy"}).json()
    assert (answer["version"], _labels(answer)) == (3, {"refund", "delivery"})
    assert told == [3]
    assert client.post("/v1/versions/3/promote").json()["version"] == 3  # it is live already
    assert any_store.timeline().head == 3


def test_a_candidate_is_not_live_but_can_be_asked_and_promoted(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    candidate = publish(store, backbone, BOTH, kind=Kind.CANDIDATE).version
    client = serve(store, backbone).client
    assert client.post(CLASSIFY, json={"inputs": "a"}).json()["version"] == 1
    pinned = client.post(CLASSIFY, json={"inputs": "a", "version": candidate}).json()
    assert len(_labels(pinned)) == 4
    assert client.post(f"/v1/versions/{candidate}/promote").json()["kind"] == "promote"
    assert len(_labels(client.post(CLASSIFY, json={"inputs": "a"}).json())) == 4


def test_what_cannot_be_loaded_is_not_promoted(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    wrong = content.write_head(store.blobs, content.DOMAIN_HEAD + ALL, _head_of_width(3))
    candidate = commit(store, backbone, MAIL, wrong, kind=Kind.CANDIDATE).version
    client = serve(store, backbone).client
    check(client.post(f"/v1/versions/{candidate}/promote"), "version-not-loadable")
    assert store.timeline().live == 1


def test_how_late_a_version_came_is_measured_but_not_of_the_first(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone)
    assert _measured(running, "perennial_swap_lag_seconds_count") == 0
    running.reach(publish(store, backbone, BOTH).version)
    assert _measured(running, "perennial_swap_lag_seconds_count") == 1


def test_a_replica_is_stale_while_the_newest_version_cannot_be_loaded(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone)
    wrong = content.write_head(store.blobs, content.DOMAIN_HEAD + ALL, _head_of_width(3))
    commit(store, backbone, MAIL, wrong, kind=Kind.REFRESH)
    failures, fresh = "perennial_swap_failures_total", "perennial_up_to_date_timestamp_seconds"
    while not (before := _measured(running, failures)):
        pass
    known = _measured(running, fresh)
    while _measured(running, failures) == before:
        pass
    assert _measured(running, fresh) == known
    running.reach(publish(store, backbone, BOTH).version)
    assert _measured(running, fresh) > known


def test_what_became_of_trained_prompts_is_counted_once(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    """A candidate of which a part is accepted comes with the version that serves this part."""
    running = serve(store, backbone)
    for kind, gate in [
        (Kind.CANDIDATE, {"accepted": False, "aggregate": "live"}),
        (Kind.CANDIDATE, {"accepted": False, "aggregate": "frozen"}),
        (Kind.TRAIN, {"accepted": False, "aggregate": "frozen"}),
        (Kind.REFRESH, {"accepted": False, "reason": "training failed"}),
        (Kind.TRAIN, {"accepted": True, "aggregate": "candidate"}),
    ]:
        version = publish(store, backbone, MAIL, kind=kind, gate=gate).version
    running.reach(version)
    counted = [
        _measured(running, f'perennial_gate_decisions_total{{outcome="{outcome}"}}')
        for outcome in ("accepted", "refused", "failed")
    ]
    assert counted == [2, 1, 1]


def _measured(running: Running, name: str) -> float:
    lines = running.client.get("/metrics").text.splitlines()
    (value,) = [line.removeprefix(name) for line in lines if line.startswith(f"{name} ")]
    return float(value)


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_in_place(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    first = publish(store, backbone, MAIL).version
    running = serve(store, backbone)
    wrong = content.write_head(store.blobs, content.DOMAIN_HEAD + ALL, _head_of_width(3))
    commit(store, backbone, MAIL, wrong, kind=Kind.REFRESH)
    while not (trouble := running.client.get("/v1/info").json()["trouble"]):
        pass
    assert running.client.post(CLASSIFY, json={"inputs": "a"}).json()["version"] == first
    assert "version 2" in trouble[0]
    assert running.client.get("/health/ready").status_code == 200
    good = publish(store, backbone, BOTH).version
    running.reach(good)
    assert running.client.get("/v1/info").json()["trouble"] == []


def _head_of_width(width: int) -> ViewedHead:
    linear = LinearHead(np.ones((width, 2), np.float32), np.zeros(2, np.float32))
    return ViewedHead((LAST,), (linear,))


def test_history_is_paged_newest_first(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    for _ in range(5):
        publish(store, backbone, MAIL)
    client = serve(store, backbone).client
    page = client.get("/v1/versions?limit=2").json()
    seen = [[one["version"] for one in page["versions"]]]
    while page["before"] is not None:
        page = client.get(f"/v1/versions?limit=2&before={page['before']}").json()
        seen.append([one["version"] for one in page["versions"]])
    assert seen == [[5, 4], [3, 2], [1]]
    assert page["live"] == 5
    one = client.get("/v1/versions/5").json()
    assert (one["live"], one["kind"], one["labels"]) == (True, "refresh", 2)
    assert one["tasks"]["mail"]["classes"] == 2
