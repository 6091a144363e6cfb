"""The micro-batcher under load: full, cancelled, fair, and idle."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import orjson

from backbones import Input, IntArray
from prompt_store import Store
from tests.serving.bag_of_words import BagOfWords, HeldBagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish
from tests.serving.running import Running
from tests.serving.test_problems import check

CLASSIFY = "/v1/classify"


def _until(running: Running, condition: Callable[[], bool]) -> None:
    """Returns when the condition holds on the server's event loop."""
    while not running.on_loop(condition):
        pass


def _ask(running: Running, inputs: int = 1) -> httpx.Response:
    with httpx.Client(base_url=running.url, timeout=30) as client:
        return client.post(CLASSIFY, json={"inputs": ["a b c"] * inputs})


def test_a_request_runs_at_once_when_the_encoder_is_free(
    busy: Running, held: HeldBagOfWords
) -> None:
    with ThreadPoolExecutor(1) as threads:
        alone = threads.submit(_ask, busy)
        held.wait_for_pass()
        held.release()
        assert alone.result().status_code == 200
    assert held.sizes == [1]


def test_what_arrives_during_a_pass_forms_the_next_one(busy: Running, held: HeldBagOfWords) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(_ask, busy)]
        held.wait_for_pass()
        answers += [threads.submit(_ask, busy) for _ in range(5)]
        _until(busy, lambda: batcher.waiting == 5)
        held.release()
        assert {one.result().status_code for one in answers} == {200}
    assert held.sizes == [1, 5]


def test_a_full_queue_refuses_and_says_when_to_come_back(
    busy: Running, held: HeldBagOfWords
) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(_ask, busy)]
        held.wait_for_pass()
        answers.append(threads.submit(_ask, busy, 9))
        _until(busy, lambda: batcher.waiting == 9)
        refused = _ask(busy, 2)
        check(refused, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        answers.append(threads.submit(_ask, busy, 1))  # there is room for one
        _until(busy, lambda: batcher.waiting == 10)
        held.release()
        assert {one.result().status_code for one in answers} == {200}
    assert _ask(busy).status_code == 200
    measured = busy.client.get("/metrics").text
    assert "perennial_refusals_total 1.0" in measured


def test_requests_in_front_keep_another_out_when_the_wait_gets_long(
    store: Store, held: HeldBagOfWords, serve: Serve
) -> None:
    publish(store, held, MAIL)
    # With no time to wait at all, 8 like it may still be before a request.
    running = serve(store, held, limits={"queue_seconds": 1e-9}, batching={"inputs": 8})
    batcher = running.service.batcher
    _learn_the_pace(running, held)
    held.hold()
    with ThreadPoolExecutor(12) as threads:
        answers = [threads.submit(_ask, running)]
        held.wait_for_pass()
        for waiting in range(1, 9):
            answers.append(threads.submit(_ask, running))
            _until(running, lambda waiting=waiting: batcher.waiting == waiting)  # type: ignore[misc]
        refused = _ask(running)
        check(refused, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        long = ["a b c" + " d" * 1000] * 8  # of several times what it takes itself
        with httpx.Client(base_url=running.url, timeout=30) as client:
            answers.append(threads.submit(client.post, CLASSIFY, json={"inputs": long}))
            _until(running, lambda: batcher.waiting == 16)
            held.release()
            assert {one.result().status_code for one in answers} == {200}
    assert _ask(running).status_code == 200


def _learn_the_pace(running: Running, held: HeldBagOfWords) -> None:
    """By a pass of 8 inputs with 4 left waiting."""
    assert _ask(running, 12).status_code == 200
    for _ in range(2):
        held.wait_for_pass()


def test_patient_inputs_keep_nobody_out(store: Store, held: HeldBagOfWords, serve: Serve) -> None:
    publish(store, held, MAIL)
    running = serve(store, held, limits={"queue_seconds": 1e-9}, batching={"inputs": 8})
    _learn_the_pace(running, held)
    held.hold()
    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(_ask, running)]
        held.wait_for_pass()
        many = [Input(text="a b c")] * 20
        stream = threads.submit(running.wait, running.service.classify(many, patient=True))
        _until(running, lambda: running.service.batcher.waiting == 20)
        answers.append(threads.submit(_ask, running))
        _until(running, lambda: running.service.batcher.waiting == 21)
        held.release()
        assert {one.result().status_code for one in answers} == {200}
        stream.result()


def test_one_request_larger_than_the_queue_is_taken_when_nothing_waits(
    busy: Running, held: HeldBagOfWords
) -> None:
    held.release()
    assert len(_ask(busy, 30).json()["results"]) == 30
    assert held.sizes == [8, 8, 8, 6]


def test_a_single_input_does_not_wait_for_all_of_a_long_request(
    busy: Running, held: HeldBagOfWords
) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(2) as threads:
        long = threads.submit(_ask, busy, 9)
        held.wait_for_pass()
        short = threads.submit(_ask, busy, 1)
        _until(busy, lambda: batcher.waiting == 2)
        held.release()
        assert len(long.result().json()["results"]) == 9
        assert len(short.result().json()["results"]) == 1
    assert held.sizes == [8, 2]


class Bucketing(HeldBagOfWords):
    """Makes passes of one length each."""

    def passes(self, lengths: IntArray) -> list[IntArray]:
        return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]


def test_inputs_of_like_length_share_a_pass_whoever_asked(store: Store, serve: Serve) -> None:
    held = Bucketing()
    publish(store, held, MAIL)
    running = serve(store, held)
    held.hold()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(running.client.post, CLASSIFY, json={"inputs": "a"})
        held.wait_for_pass()
        mixed = threads.submit(running.client.post, CLASSIFY, json={"inputs": ["a b", "c", "d e"]})
        _until(running, lambda: running.service.batcher.waiting == 3)
        short = threads.submit(running.client.post, CLASSIFY, json={"inputs": ["f", "g h"]})
        _until(running, lambda: running.service.batcher.waiting == 5)
        held.release()
        assert len(first.result().json()["results"]) == 1
        together = mixed.result().json()["results"] + short.result().json()["results"]
    assert held.sizes == [1, 3, 2]  # all pairs of words, then the single words
    for text, result in zip(("a b", "c", "d e", "f", "g h"), together, strict=True):
        (alone,) = running.client.post(CLASSIFY, json={"inputs": text}).json()["results"]
        assert result["predictions"] == alone["predictions"]


class Clueless(BagOfWords):
    """Finds no passes while it has no clue."""

    clue = False

    def passes(self, lengths: IntArray) -> list[IntArray]:
        if not self.clue:
            raise ArithmeticError("no passes")
        return super().passes(lengths)


def test_inputs_that_cannot_be_planned_fail_and_hold_nobody_up(store: Store, serve: Serve) -> None:
    clueless = Clueless()
    publish(store, clueless, MAIL)
    running = serve(store, clueless, limits={"deadline_seconds": 5})
    check(_ask(running, 3), "internal-error")
    assert not running.service.batcher.waiting
    clueless.clue = True
    assert len(_ask(running, 3).json()["results"]) == 3


def test_patient_inputs_stand_behind_all_others(busy: Running, held: HeldBagOfWords) -> None:
    batcher, answered = busy.service.batcher, []

    async def ask(who: str, inputs: int) -> None:
        asked = [Input(text="a b c")] * inputs
        await busy.service.classify(asked, patient=who == "stream")
        answered.append(who)

    with ThreadPoolExecutor(3) as threads:
        asking = [threads.submit(busy.wait, ask("running", 1))]
        held.wait_for_pass()
        asking.append(threads.submit(busy.wait, ask("stream", 5)))
        _until(busy, lambda: batcher.waiting == 5)
        asking.append(threads.submit(busy.wait, ask("single", 4)))
        _until(busy, lambda: batcher.waiting == 9)
        held.release()
        for one in asking:
            one.result()
    assert answered == ["running", "single", "stream"]
    assert held.sizes == [1, 8, 1]  # 4 of the one and 4 of the other, then the rest


def test_clients_that_leave_take_their_inputs_with_them(
    busy: Running, held: HeldBagOfWords
) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(_ask, busy)
        held.wait_for_pass()
        leaving = [_send(busy, 3) for _ in range(3)]
        staying = threads.submit(_ask, busy)
        _until(busy, lambda: batcher.waiting == 10)
        for one in leaving:
            one.close()
        _until(busy, lambda: batcher.waiting == 1)
        held.release()
        assert first.result().status_code == staying.result().status_code == 200
    assert held.sizes == [1, 1]
    assert _ask(busy).status_code == 200


def _send(running: Running, inputs: int) -> socket.socket:
    """Sends a request whose answer nobody will read."""
    body = orjson.dumps({"inputs": ["a b c"] * inputs})
    host, port = running.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def test_an_input_that_cannot_be_read_fails_alone(busy: Running, held: HeldBagOfWords) -> None:
    batcher = busy.service.batcher

    def blank() -> httpx.Response:
        with httpx.Client(base_url=busy.url, timeout=30) as client:
            return client.post(CLASSIFY, json={"inputs": "  "})

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(_ask, busy)
        held.wait_for_pass()
        beside = threads.submit(_ask, busy)
        _until(busy, lambda: batcher.waiting == 1)
        check(blank(), "invalid-content")  # before it waits for anything
        held.release()
        assert first.result().status_code == beside.result().status_code == 200


def test_stopping_answers_those_who_wait(busy: Running, held: HeldBagOfWords) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(2) as threads:
        inside = threads.submit(_ask, busy)
        held.wait_for_pass()
        waiting = threads.submit(_ask, busy)
        _until(busy, lambda: batcher.waiting == 1)
        stopping = threading.Thread(target=lambda: busy.wait(batcher.stop()))
        stopping.start()
        check(waiting.result(), "not-ready")
        held.release()
        stopping.join(30)
        assert inside.result().status_code == 200  # its pass was under way
