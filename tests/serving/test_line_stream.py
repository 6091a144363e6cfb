"""Classifying a stream of lines."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Message

from prompt_store import Store
from serving.line_stream import LineStream
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.problems import TYPE_PREFIX
from serving.schemas.classify import ClassifyOptions
from serving.service import Service
from serving.settings import Settings
from tests.serving.bag_of_words import BagOfWords, HeldBagOfWords
from tests.serving.conftest import Serve
from tests.serving.pictures import TONES
from tests.serving.publishing import BOTH, MAIL, Texts, publish
from tests.serving.running import Running
from tests.serving.talking import LINES, talking
from tests.serving.test_problems import check

CLASSIFY = "/v1/classify"
LIMITS = {"body_bytes": 2048, "text_characters": 100, "stream_bytes": 50_000}
LONG: Texts = {"mail": {f"{number}{'l' * 120}": ["word"] for number in range(10)}}
"""What makes answers of 2 kB, so that 5000 of them are more than sockets hold."""
KEY = {"name": "k", "sha256": "ab" * 32, "scopes": ["predict"]}


@pytest.fixture
def running(store: Store, backbone: BagOfWords, serve: Serve) -> Running:
    """A server that knows `BOTH`, with small limits."""
    publish(store, backbone, BOTH)
    return serve(store, backbone, limits=LIMITS)


def _post(client: httpx.Client, body: bytes, kind: str = LINES, **query: Any) -> httpx.Response:
    return client.post(CLASSIFY, content=body, params=query, headers={"Content-Type": kind})


def _answers(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [orjson.loads(line) for line in answer.content.splitlines()]


def _lines(*values: Any) -> bytes:
    return b"\n".join(orjson.dumps(one) for one in values)


def _slug(line: dict[str, Any]) -> str:
    return str(line["error"]["type"]).removeprefix(TYPE_PREFIX)


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        pass


@pytest.mark.parametrize("kind", [LINES, "application/jsonl", f"{LINES}; charset=utf-8"])
def test_every_line_gets_the_answer_of_a_request_of_its_own(running: Running, kind: str) -> None:
    values = ["give my money back", {"text": "where is it", "text_pair": "parcel"}, "so happy"] * 50
    answer = _post(running.client, _lines(*values), kind, top_k=2)
    assert answer.headers["content-type"] == kind.partition(";")[0]
    lines = _answers(answer)
    assert len(lines) == len(values)
    assert len({one["id"] for one in lines}) == len(values)
    for line, value in zip(lines[:3], values, strict=False):
        alone = running.client.post(CLASSIFY, json={"inputs": value, "top_k": 2}).json()
        (result,) = alone["results"]
        assert line == {"version": alone["version"], **result, "id": line["id"]}
    assert [one["predictions"] for one in lines] == [one["predictions"] for one in lines[:3]] * 50


def test_own_names_come_back_and_blank_lines_do_not(running: Running) -> None:
    body = b'\xef\xbb\xbf"a"\n\n  \r\n{"id": "row:4", "text": "b"}\r\n'
    first, second = _answers(_post(running.client, body))
    assert (len(first["id"]), second["id"]) == (32, "row:4")
    assert _answers(_post(running.client, b"")) == []


@pytest.mark.parametrize(
    ("bad", "slug"),
    [
        (b"nonsense", "malformed-request"),
        (b'"\xff"', "malformed-request"),
        (b"[" * 1500, "malformed-request"),
        (b"null", "invalid-content"),
        (b'["a", "b"]', "invalid-content"),
        (b'{"text": ""}', "invalid-content"),
        (b'{"text": "a", "label": "b"}', "invalid-content"),
        (b'"\\ud800"', "invalid-content"),
        (b'"' + b"a" * 101 + b'"', "invalid-content"),
        (b'{"text_pair": "a"}', "invalid-content"),
        (b'{"image": "aGk="}', "unsupported-input"),
        (b'"   "', "invalid-content"),
    ],
)
def test_a_bad_line_is_refused_like_a_request_of_its_own(
    running: Running, bad: bytes, slug: str
) -> None:
    lines = _answers(_post(running.client, b'"a"\n\n' + bad + b'\n"c"'))
    assert [one.get("line") for one in lines] == [None, 3, None]
    assert _slug(lines[1]) == slug
    assert lines[2]["predictions"]
    alone = _post(running.client, b'{"inputs": [' + bad + b"]}", "application/json")
    refusal = check(alone, slug)
    told = lines[1]["error"]
    assert [told[name] for name in ("status", "title")] == [refusal["status"], refusal["title"]]
    places, expected = (
        [one["pointer"] for one in problem.get("errors", [])] for problem in (told, refusal)
    )
    assert places == expected


def test_a_bad_line_keeps_its_name_where_that_is_one(running: Running) -> None:
    body = _lines({"id": "a", "text": "x" * 101}, {"id": "b b", "text": "x"}, {"id": 3, "text": ""})
    named, misnamed, twice = _answers(_post(running.client, body))
    assert (named["id"], named["line"], _slug(named)) == ("a", 1, "invalid-content")
    assert "id" not in misnamed
    assert misnamed["error"]["errors"][0]["pointer"] == "#/inputs/0/id"
    assert len(twice["error"]["errors"]) == 2


def test_thousands_of_unknown_members_are_one_error(running: Running) -> None:
    bad = orjson.dumps(dict.fromkeys(map(str, range(99)), 1))
    (line,) = _answers(_post(running.client, bad))
    assert [one["pointer"] for one in line["error"]["errors"]] == ["#/inputs/0"]
    for body in (bad, b'{"inputs": [' + bad + b"]}"):
        refusal = check(_post(running.client, body, "application/json"), "invalid-content")
        assert len(refusal["errors"]) == 1


def test_a_line_that_is_too_long_is_no_more_than_that(running: Running) -> None:
    body = b'"' + b"a" * 10_000 + b'"\n"b"'
    long, short = _answers(_post(running.client, body))
    assert (long["line"], _slug(long), long["error"]["limit"]) == (1, "body-too-large", 2048)
    assert short["predictions"]


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ({"task": "mial"}, "unknown-task"),
        ({"task": "x" * 200}, "invalid-content"),
        ({"top_k": 0}, "invalid-content"),
        ({"topk": 1}, "invalid-content"),
        ({"version": 77}, "unknown-version"),
        ({"min_version": 77}, "version-not-loaded"),
        ({"version": 1, "min_version": 2}, "invalid-content"),
    ],
)
def test_what_refuses_every_line_refuses_the_request(
    running: Running, query: dict[str, Any], slug: str
) -> None:
    check(_post(running.client, b'"a"', **query), slug)


def test_servers_that_cannot_answer_yet_refuse_the_request(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    check(_post(serve(store, backbone).client, b'"a"'), "no-classes")
    keyed = serve(store, backbone, keys=[KEY])
    check(_post(keyed.client, b'"a"'), "unauthenticated")


def test_options_stand_in_the_query_for_all_lines(
    running: Running, store: Store, backbone: BagOfWords
) -> None:
    running.reach(publish(store, backbone, MAIL).version)
    body = _lines("so happy", "a")
    for line in _answers(_post(running.client, body, task="mood", top_k=1, version=1)):
        assert line["version"] == 1
        assert [one["task"] for one in line["predictions"]] == ["mood"]
    assert [one["version"] for one in _answers(_post(running.client, body, min_version=2))] == [
        2,
        2,
    ]


def test_a_stream_follows_swaps_unless_it_names_a_version(
    running: Running, store: Store, backbone: BagOfWords
) -> None:
    with talking(running.url) as following, talking(running.url, version=1) as staying:
        heard = []
        for _ in range(2):
            for talk in (following, staying):
                talk.say("a")
                answer = talk.hear()
                assert answer is not None
                heard.append(answer["version"])
            running.reach(publish(store, backbone, BOTH).version)
        assert heard == [1, 1, 2, 1]
        following.end()
        assert following.hear() is None


def test_a_task_forgotten_in_the_middle_ends_no_stream(
    running: Running, store: Store, backbone: BagOfWords
) -> None:
    with talking(running.url, task="mood") as talk:
        talk.say("a")
        assert "predictions" in (talk.hear() or {})
        running.reach(publish(store, backbone, MAIL).version)
        talk.say("a")
        assert _slug(talk.hear() or {}) == "unknown-task"
        running.reach(publish(store, backbone, BOTH).version)
        talk.say("a")
        assert "predictions" in (talk.hear() or {})


def test_clients_may_send_everything_before_they_read(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, LONG)
    running = serve(store, backbone)
    with talking(running.url, top_k=10) as talk:
        for start in range(0, 5000, 100):
            talk.say(*({"id": str(number), "text": "a b"} for number in range(start, start + 100)))
        talk.end()
        counted = "perennial_inputs_total 5000.0"
        _until(lambda: counted in running.client.get("/metrics").text)  # nothing was read so far
        assert [one["id"] for one in talk.rest()] == [str(number) for number in range(5000)]


def test_a_stream_without_end_is_ended(running: Running) -> None:
    with talking(running.url) as talk:
        talk.say(*["a" * 80] * 300)
        answered = [talk.hear() for _ in range(300)]
        talk.say(*["a" * 80] * 400)
        talk.end()
        *more, last = talk.rest()
    assert all("predictions" in (one or {}) for one in answered + more)
    assert (_slug(last), last["error"]["limit"]) == ("body-too-large", 50_000)
    assert "line" not in last
    check(_post(running.client, b'"a"\n' * 20_000), "body-too-large")  # announced: before it begins


def test_other_bodies_are_no_larger_for_being_called_lines(running: Running) -> None:
    headers = {"Content-Type": LINES}
    answer = running.client.put("/v1/tasks/mail", content=b" " * 4096, headers=headers)
    assert check(answer, "body-too-large")["limit"] == 2048


async def test_blank_lines_leave_others_their_turn(store: Store, backbone: BagOfWords) -> None:
    stream = LineStream(
        Service(store, Engines(backbone), Settings(), PrometheusMetrics()),
        ClassifyOptions(),
        LINES,
        lambda: None,
    )
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"\n \n" * 2**18, "more_body": False}

    async def send(_: Message) -> None:
        pass

    taking = asyncio.create_task(take_turns())
    await stream({"type": "http"}, receive, send)
    taking.cancel()
    assert turns > 20


def test_clients_that_stop_sending_are_told(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    with talking(serve(store, backbone, limits={"stream_idle_seconds": 0.2}).url) as talk:
        talk.say("a")
        answered, last = talk.rest()
    assert "predictions" in answered
    assert _slug(last) == "client-idle"
    assert "line" not in last


def test_clients_that_never_read_are_given_up(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, LONG)
    running = serve(store, backbone, limits={"stream_idle_seconds": 0.5})
    with talking(running.url, top_k=10) as talk:
        for _ in range(50):
            talk.say(*["a"] * 100)
        talk.end()
        _until(lambda: f'route="{CLASSIFY}"' in running.client.get("/metrics").text)  # it is over
        assert talk.breaks_off()


# Beside other requests


def _ask(running: Running, inputs: int) -> int:
    with httpx.Client(base_url=running.url, timeout=30) as client:
        return client.post(CLASSIFY, json={"inputs": ["a"] * inputs}).status_code


def test_streams_leave_room_for_others(busy: Running, held: HeldBagOfWords) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(1) as threads, talking(busy.url) as one, talking(busy.url) as other:
        one.say(*["a"] * 30)
        other.say(*["a"] * 30)
        held.wait_for_pass()
        _until(lambda: busy.on_loop(lambda: batcher.waiting + held.sizes[0]) == 5)
        single = threads.submit(_ask, busy, 5)
        _until(lambda: busy.on_loop(lambda: batcher.waiting + held.sizes[0]) == 10)
        held.release()
        assert single.result() == 200
        for talk in (one, other):
            talk.end()
            assert [list(line)[-1] for line in talk.rest()] == ["predictions"] * 30


def test_lines_under_way_hold_no_more_than_a_request_may(
    store: Store, held: HeldBagOfWords, serve: Serve
) -> None:
    publish(store, held, MAIL)
    running = serve(store, held, limits={"body_bytes": 2048})
    held.hold()
    with talking(running.url) as talk:
        talk.say(*["a" * 98] * 200)  # of 100 bytes each
        held.wait_for_pass()
        _until(
            lambda: running.on_loop(lambda: running.service.batcher.waiting) + held.sizes[0] > 20
        )
        held.release()
        talk.end()
        assert len(talk.rest()) == 200
    assert max(held.sizes) <= 21


def test_a_full_queue_makes_a_stream_wait(busy: Running, held: HeldBagOfWords) -> None:
    batcher = busy.service.batcher
    with ThreadPoolExecutor(2) as threads, talking(busy.url) as talk:
        singles = [threads.submit(_ask, busy, 1)]
        held.wait_for_pass()
        singles.append(threads.submit(_ask, busy, 10))
        _until(lambda: busy.on_loop(lambda: batcher.waiting) == 10)
        talk.say("a", "b")
        refused = "perennial_refusals_total 2.0"
        _until(lambda: refused in busy.client.get("/metrics").text)
        held.release()
        talk.end()
        assert [list(line)[-1] for line in talk.rest()] == ["predictions"] * 2
        assert [one.result() for one in singles] == [200, 200]


def test_clients_that_leave_take_their_lines_with_them(busy: Running, held: HeldBagOfWords) -> None:
    service = busy.service
    with talking(busy.url) as talk:
        talk.say(*["a"] * 30)
        held.wait_for_pass()
        _until(lambda: busy.on_loop(service.streams.locked))
        talk.leave()
        # It is noticed when more is read: so let go what keeps the stream from reading.
        held.release()
        _until(lambda: not busy.on_loop(service.streams.locked))
    assert busy.on_loop(lambda: service.batcher.waiting) == 0
    assert _ask(busy, 1) == 200


def test_images_come_a_line_each_too(seeing: Running) -> None:
    tones = [one for labels in TONES.values() for some in labels.values() for one in some]
    damaged = base64.b64encode(b"\x89PNG\r\n\x1a\nno").decode()
    lines = [{"image": base64.b64encode(one).decode()} for one in tones if isinstance(one, bytes)]
    assert len(lines) > 1
    answers = _answers(_post(seeing.client, _lines(lines[0], {"image": damaged}, *lines[1:])))
    assert _slug(answers.pop(1)) == "invalid-content"
    for answer, line in zip(answers, lines, strict=True):
        (alone,) = seeing.client.post(CLASSIFY, json={"inputs": line}).json()["results"]
        assert [one["label"] for one in answer["predictions"]] == [
            one["label"] for one in alone["predictions"]
        ]
