"""The end of a server, stage by stage: what still goes on, and who is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from prompt_store import Store
from tests.serving.bag_of_words import BagOfWords, HeldBagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish
from tests.serving.running import Running
from tests.serving.talking import talking
from tests.serving.test_problems import check

QUESTION = {"inputs": ["a"] * 8}


def _ask(running: Running) -> httpx.Response:
    with httpx.Client(base_url=running.url, timeout=30) as client:
        return client.post("/v1/classify", json=QUESTION)


def test_readiness_goes_first_and_everything_else_is_still_answered(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone)
    kept = running.client.post("/v1/classify", json=QUESTION)
    assert "connection" not in kept.headers
    running.on_loop(running.service.leave)
    assert "stopping" in check(running.client.get("/health/ready"), "not-ready")["detail"]
    last = running.client.post("/v1/classify", json=QUESTION)
    assert (last.status_code, last.headers["connection"]) == (200, "close")
    body = {"examples": [{"input": "a", "label": "b"}]}
    assert running.client.post("/v1/tasks/mail/examples", json=body).status_code == 202
    assert running.client.get("/health/live").status_code == 200
    with running.client.stream("GET", "/v1/events") as events:
        assert events.status_code == 200
        events.read()  # ends
    assert "perennial_ready 0.0" in running.client.get("/metrics").text


def test_what_cannot_be_answered_in_time_is_refused_and_a_running_pass_ends(
    busy: Running, held: HeldBagOfWords
) -> None:
    with ThreadPoolExecutor(2) as threads, talking(busy.url) as talk:
        passed = threads.submit(_ask, busy)
        held.wait_for_pass()
        waiting = threads.submit(_ask, busy)
        while not busy.on_loop(lambda: busy.service.batcher.waiting):
            pass
        talk.say("a")
        while busy.on_loop(lambda: busy.service.batcher.waiting) < 9:
            pass
        busy.on_loop(busy.service.leave)
        busy.on_loop(busy.service.hurry)
        check(waiting.result(), "not-ready")
        refused, told = talk.rest()
        assert refused["line"] == 1
        assert "line" not in told
        for one in (refused, told):
            assert one["error"]["type"].endswith("/not-ready")
        held.release()
        assert passed.result().status_code == 200


def test_a_stream_goes_on_while_its_client_sends(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone)
    with talking(running.url) as talk:
        talk.say("a")
        assert "predictions" in (talk.hear() or {})
        running.on_loop(running.service.leave)
        for _ in range(3):
            talk.say("a")
            assert "predictions" in (talk.hear() or {})
        (told,) = talk.rest()
    assert told["error"]["type"].endswith("/not-ready")
