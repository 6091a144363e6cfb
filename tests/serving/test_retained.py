"""Versions that retention keeps and drops, as callers meet them: a server that learns thirty."""

from __future__ import annotations

import httpx
import pytest

from learner.references import NAMING, references
from prompt_store import MemoryBackend, Retention, RetentionConfig, Store, audit_store
from prompt_store.log import GRACE
from serving import pins
from tests.prompt_store.drafts import Clock
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish
from tests.serving.test_problems import check

PINNED = 4


def test_old_versions_go_and_pinned_ones_stay(
    serve: Serve, backbone: BagOfWords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "KEPT_SECONDS", 0.0)
    clock = Clock()
    store = Store.on(MemoryBackend(), clock=clock)
    retention = Retention(
        store, references, NAMING, RetentionConfig(versions=3, grace_seconds=GRACE)
    )
    server = serve(store, backbone)
    counts = []
    for number in range(1, 31):
        text = f"text {number} of its own"
        publish(store, backbone, {**MAIL, "mood": {"glad": [text], "cross": [text * 2]}})
        if number == PINNED:
            pinned = server.client.put(f"/v1/versions/{PINNED}/pin").json()
            assert (pinned["version"], pinned["pinned"]) == (PINNED, True)
            ask(server.client, PINNED)
            ask(server.client, 3)  # loaded while it is kept
        clock.now += 1.5 * GRACE
        retention.run()
        counts.append(len(store.blobs.digests()))
    server.reach(30)
    assert max(counts) == max(counts[:10])
    listed = server.client.get("/v1/versions").json()["versions"]
    assert [(one["version"], one["pinned"]) for one in listed] == [
        (30, False), (29, False), (28, False), (PINNED, True),
    ]  # fmt: skip
    assert ask(server.client, PINNED).json()["version"] == PINNED
    for gone in (3, 10):
        check(ask(server.client, gone), "unknown-version")
        check(server.client.get(f"/v1/versions/{gone}"), "unknown-version")
        check(server.client.post(f"/v1/versions/{gone}/promote"), "unknown-version")
        check(server.client.put(f"/v1/versions/{gone}/pin"), "unknown-version")
        check(server.client.delete(f"/v1/versions/{gone}/pin"), "unknown-version")
    for _ in range(2):
        assert server.client.delete(f"/v1/versions/{PINNED}/pin").json()["pinned"] is False
    publish(store, backbone, MAIL)
    clock.now += 1.5 * GRACE
    retention.run()
    check(ask(server.client, PINNED), "unknown-version")
    assert audit_store(store.backend, references).faults == ()


def test_a_fence_is_not_pinned(serve: Serve, backbone: BagOfWords, store: Store) -> None:
    store.fence("learner")
    publish(store, backbone, MAIL)
    check(serve(store, backbone).client.put("/v1/versions/1/pin"), "not-promotable")


def test_a_version_that_is_dropped_while_it_is_loaded_is_unknown(
    serve: Serve, backbone: BagOfWords
) -> None:
    """Its manifest is remembered, its blobs are gone."""
    clock = Clock()
    store = Store.on(MemoryBackend(), clock=clock)
    retention = Retention(
        store, references, NAMING, RetentionConfig(versions=1, grace_seconds=GRACE)
    )
    for number in range(3):
        publish(store, backbone, {"mail": {"a": [f"text {number}"], "b": ["other"]}})
    server = serve(store, backbone)
    assert server.client.get("/v1/versions/1").json()["version"] == 1
    for _ in range(3):
        clock.now += 1.5 * GRACE
        retention.run()
    check(ask(server.client, 1), "unknown-version")


def ask(client: httpx.Client, version: int) -> httpx.Response:
    return client.post("/v1/classify", json={"inputs": ["my money"], "version": version})
