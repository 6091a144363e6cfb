"""The event stream: what listeners get, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import orjson
import pytest

from learner.events import Event
from prompt_store import Kind, Prequential, Store
from serving.events import Dropped, EventBus
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.service import Service
from serving.settings import Polling, Settings
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish
from tests.serving.running import running


def _events(stream: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in stream.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, orjson.loads(line.removeprefix("data: "))


def test_versions_are_told_as_they_come_and_the_swap_after_them(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(any_store, backbone).client
    with client.stream("GET", "/v1/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        events = _events(stream)
        told = []
        for kind in (Kind.REFRESH, Kind.TRAIN, Kind.CANDIDATE):
            publish(any_store, backbone, MAIL, kind=kind)
            told.append(next(events))
            if kind is not Kind.CANDIDATE:
                told.append(next(events))
    assert [(name, data["version"]) for name, data in told] == [
        ("refreshed", 1),
        ("swapped", 1),
        ("published", 2),
        ("swapped", 2),
        ("candidate", 3),
    ]
    assert all(name == data["kind"] for name, data in told)


def test_how_new_examples_were_answered_before_is_told_and_measured(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    told = {
        "mail": Prequential(rows=8, right=6, new=2),
        "mood": Prequential(rows=0, right=0, new=9),
    }
    with client.stream("GET", "/v1/events") as stream:
        version = publish(store, backbone, MAIL, prequential=told).version
        _, data = next(_events(stream))
    members = {task: one.model_dump() for task, one in told.items()}
    assert data["prequential"] == members
    assert client.get(f"/v1/versions/{version}").json()["prequential"] == members
    measured = client.get("/metrics").text
    assert 'perennial_prequential_accuracy{task="mail"} 0.75' in measured
    assert 'task="mood"' not in measured


def test_the_learners_progress_is_passed_on_but_not_what_the_log_tells(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    server = serve(store, backbone)
    with server.client.stream("GET", "/v1/events") as stream:
        server.service.observe(Event(kind="refreshed", version=9))
        server.service.observe(
            Event(kind="progress", task="mail", phase="training", epoch=1, loss=0.5)
        )
        name, data = next(_events(stream))
    assert (name, data["task"], data["phase"], data["loss"]) == (
        "progress",
        "mail",
        "training",
        0.5,
    )
    assert "version" not in data
    measured = server.client.get("/metrics").text
    assert 'perennial_learner_phase{phase="training"} 1.0' in measured
    assert 'perennial_learner_phase{phase="idle"} 0.0' in measured


def test_heartbeats_come_as_comments(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    client = serve(store, backbone).client
    with client.stream("GET", "/v1/events") as stream:
        beats = (line for line in stream.iter_lines() if line.startswith(":"))
        assert [next(beats), next(beats)] == [": heartbeat", ": heartbeat"]


def test_listeners_that_leave_are_forgotten(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    server = serve(store, backbone)
    bus = server.service.events
    for _ in range(3):
        with server.client.stream("GET", "/v1/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            assert server.on_loop(lambda: bus.subscribers) >= 1
    while server.on_loop(lambda: bus.subscribers):
        pass


def test_a_server_that_stops_ends_its_streams(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    server = serve(store, backbone, polling={"heartbeat_seconds": 3600})
    with server.client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        server.on_loop(server.service.events.close)
        assert [line for line in lines if line] == []


async def test_a_slow_listener_is_dropped_and_told_so() -> None:
    bus = EventBus(depth=3)
    bus.open()
    slow, quick = bus.subscribe(), bus.subscribe()
    got = []
    for _ in range(5):
        bus.publish(Event(kind="idle"))
        numbered = await quick.next()
        assert numbered is not None
        got.append(numbered.number)
    assert bus.subscribers == 1
    waiting = [await slow.next() for _ in range(3)]
    assert [one.number for one in waiting if one] == [1, 2, 3]
    with pytest.raises(Dropped):
        await slow.next()
    assert got == [1, 2, 3, 4, 5]


async def test_events_come_from_any_thread_in_order() -> None:
    bus = EventBus()
    bus.open()
    subscription = bus.subscribe()

    def publish_all() -> None:
        for number in range(1, 101):
            bus.publish(Event(kind="idle", version=number))

    thread = threading.Thread(target=publish_all)
    thread.start()
    got = [await subscription.next() for _ in range(100)]
    thread.join()
    assert [one.event.version for one in got if one] == list(range(1, 101))
    assert [one.number for one in got if one] == list(range(1, 101))


async def test_a_closed_bus_ends_what_is_open_and_what_comes_later() -> None:
    bus = EventBus()
    bus.publish(Event(kind="idle"))  # before it opens: lost
    bus.open()
    early = bus.subscribe()
    bus.close()
    bus.publish(Event(kind="idle"))
    assert await early.next() is None
    assert await early.next() is None
    assert await bus.subscribe().next() is None


def test_an_open_stream_does_not_keep_a_server_from_stopping(
    store: Store, backbone: BagOfWords
) -> None:
    settings = Settings(polling=Polling(heartbeat_seconds=3600))
    service = Service(store, Engines(backbone), settings, PrometheusMetrics())
    with ExitStack() as listening:
        with running(service) as server:
            listener = listening.enter_context(httpx.Client(base_url=server.url, timeout=30))
            stream = listening.enter_context(listener.stream("GET", "/v1/events"))
            lines = stream.iter_lines()
            next(lines)
        assert [line for line in lines if line] == []
