"""Both clients, through the same tests: what they send, what they return, what they raise."""

from __future__ import annotations

import asyncio
import base64
import inspect
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from perennial.client import (
    AsyncClient,
    Batch,
    BatchFailed,
    Client,
    Conflict,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    NotReady,
    Overloaded,
    Problem,
    ServerError,
    StreamResult,
    TooLarge,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
    UnsupportedMedia,
    WaitTimedOut,
)
from perennial.client.retries import Retries
from tests.perennial.small_server import SmallServer

Do = Callable[..., Any]
"""`do("classify", "text", task="mail")` on a client of one kind or the other."""

AT_ONCE = Retries(attempts=3, first_pause=0.0)


def _do(kind: str, url: str, retries: Retries = AT_ONCE, key: str | None = None) -> Do:
    def with_sync(call: str, *args: Any, **kwargs: Any) -> Any:
        with Client(url, key, retries=retries) as client:
            return getattr(client, call)(*args, **kwargs)

    async def with_async(call: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncClient(url, key, retries=retries) as client:
            return await getattr(client, call)(*args, **kwargs)

    if kind == "sync":
        return with_sync
    return lambda call, *args, **kwargs: asyncio.run(with_async(call, *args, **kwargs))


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def do(kind: str, server: SmallServer) -> Do:
    return _do(kind, server.url)


def test_both_clients_have_the_same_calls() -> None:
    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in public - {"events", "classify_stream"}:
        ours, theirs = (inspect.signature(getattr(one, name)) for one in (Client, AsyncClient))
        assert ours == theirs, name


def test_classify_sends_only_what_was_asked_and_reads_the_answer(
    do: Do, server: SmallServer
) -> None:
    do("learn", "mail", [("money back", "refund"), ("where is it", "parcel")])
    answer = do("classify", ["one", "two"], task="mail", top_k=1, version=5)
    sent = server.calls("/v1/classify")[0].body
    assert sent == {"inputs": ["one", "two"], "task": "mail", "top_k": 1, "version": 5}
    assert answer.version == 5
    assert [one.id for one in answer.results] == ["r0", "r1"]
    assert answer.results[0].best == answer.results[0].predictions[0]
    assert (answer.results[0].best.task, answer.results[0].best.label) == ("mail", "parcel")


def test_classify_takes_one_text_an_image_or_the_api_s_own_form(
    do: Do, server: SmallServer
) -> None:
    do("classify", "one")
    do("classify", b"\x89PNG")
    do("classify", [{"text": "a", "text_pair": "b"}, "c"])
    sent = [one.body["inputs"] for one in server.calls("/v1/classify")]
    image = base64.b64encode(b"\x89PNG").decode()
    assert sent == [["one"], [{"image": image}], [{"text": "a", "text_pair": "b"}, "c"]]


def test_images_are_given_by_their_path_too(do: Do, server: SmallServer, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG")
    image = {"image": base64.b64encode(b"\x89PNG").decode()}
    do("classify", path)
    do("classify", [path, "text"])
    do("learn", "mail", [(path, "x"), {"input": path, "label": "y", "id": "mine"}])
    assert [one.body["inputs"] for one in server.calls("/v1/classify")] == [
        [image],
        [image, "text"],
    ]
    assert server.calls("/v1/tasks/mail/examples")[0].body["examples"] == [
        {"input": image, "label": "x"},
        {"input": image, "label": "y", "id": "mine"},
    ]
    with pytest.raises(FileNotFoundError):
        do("classify", tmp_path / "none.png")


def _streamed(kind: str, url: str, inputs: Iterable[Any], **asked: Any) -> list[StreamResult]:
    async def stream() -> list[StreamResult]:
        async with AsyncClient(url, retries=AT_ONCE) as client:
            return [one async for one in client.classify_stream(inputs, **asked)]

    if kind == "async":
        return asyncio.run(stream())
    with Client(url, retries=AT_ONCE) as client:
        return list(client.classify_stream(inputs, **asked))


def test_the_truth_about_predictions_is_told_by_their_ids(do: Do, server: SmallServer) -> None:
    heard = do("feedback", [("r1", "refund"), {"prediction_id": "r2", "label": "x", "task": "t"}])
    assert [(one.outcome, one.task) for one in heard.feedback] == [
        ("right", "mail"),
        ("wrong", "t"),
    ]
    assert heard.batch is None
    learnt = {"prediction_id": "r1", "label": "refund", "input": b"\x89PNG"}
    assert do("feedback", [learnt], learn=True).batch == "b1"
    told, lesson = (one.body for one in server.calls("/v1/feedback"))
    assert told["feedback"][0] == {"prediction_id": "r1", "label": "refund"}
    image = {"image": base64.b64encode(b"\x89PNG").decode()}
    assert lesson == {"feedback": [{**learnt, "input": image}], "learn": True}
    (tally,) = do("live_accuracy").accuracy
    assert (tally.version, tally.accuracy) == (7, 0.75)


def test_a_stream_of_any_length_goes_in_bounded_parts(kind: str, server: SmallServer) -> None:
    server.labels["mail"] = ["refund"]
    results = _streamed(kind, server.url, (f"text {n}" for n in range(2500)), version=3, top_k=1)
    assert [one.best.label for one in results if one.best] == ["refund"] * 2500
    assert {one.version for one in results} == {3}
    sent = server.calls("/v1/classify")
    assert [len(one.body) for one in sent] == [1024, 1024, 452]
    assert [text for one in sent for text in one.body] == [f"text {n}" for n in range(2500)]
    assert sent[0].query == {"top_k": "1", "version": "3"}
    server.seen.clear()
    _streamed(kind, server.url, [b"i" * 5_000_000] * 2)
    assert [len(one.body) for one in server.seen] == [1, 1]
    assert _streamed(kind, server.url, []) == []


def test_a_stream_marks_what_is_refused_and_goes_on(kind: str, server: SmallServer) -> None:
    server.bad_input = "bad"
    good, bad, more = _streamed(kind, server.url, ["a", "bad", {"id": "x", "text": "b"}])
    assert (good.error, bad.version, bad.predictions, more.error) == (None, None, (), None)
    assert bad.error is not None
    assert (bad.error.status, bad.error.detail) == (422, "not this one")
    assert bad.best is None


def test_a_stream_that_ends_too_early_or_is_none_raises(kind: str, server: SmallServer) -> None:
    server.ends_streams = True
    with pytest.raises(Invalid, match="not this one"):
        _streamed(kind, server.url, ["a"])
    server.answer("<html>hello</html>", media_type="text/html")
    with pytest.raises(UnexpectedAnswer):
        _streamed(kind, server.url, ["a"])
    server.refuse(404, detail="no task")
    with pytest.raises(NotFound, match="no task"):
        _streamed(kind, server.url, ["a"], task="none")


def test_a_part_that_cannot_begin_is_sent_again(kind: str, server: SmallServer) -> None:
    server.refuse(503)
    assert len(_streamed(kind, server.url, ["a", "b"])) == 2
    assert [one.body for one in server.seen] == [["a", "b"]] * 2


def test_a_result_without_classes_has_no_best(do: Do) -> None:
    assert do("classify", "nothing is known").results[0].best is None


def test_learn_sends_labels_and_a_key_of_its_own(do: Do, server: SmallServer) -> None:
    batch = do("learn", "mail", [("a", "x"), {"input": {"text": "b"}, "label": "y"}])
    again = do("learn", "mail", [(b"pixels", "z")], idempotency_key="mine")
    first, second = server.calls("/v1/tasks/mail/examples")
    assert first.body["examples"] == [
        {"input": "a", "label": "x"},
        {"input": {"text": "b"}, "label": "y"},
    ]
    assert len(first.headers["idempotency-key"]) >= 32
    assert second.headers["idempotency-key"] == "mine"
    assert (batch.batch, batch.status, batch.examples, again.batch) == ("b1", "queued", 2, "b2")


def test_names_are_quoted_in_the_path(do: Do, server: SmallServer) -> None:
    with pytest.raises(NotFound):
        do("task", "näme with/slash?")
    assert server.seen[0].path == "/v1/tasks/näme with/slash?"


def test_tasks_versions_and_info(do: Do) -> None:
    do("learn", "mail", [("a", "x")])
    assert [one.task for one in do("tasks")] == ["mail"]
    assert (do("task", "mail").labels, do("task", "mail").examples) == (("x",), 10)
    assert do("forget", "mail").status == "forgetting"
    assert do("tasks") == ()
    history = do("versions")
    assert (history.live, [one.kind for one in history.versions]) == (8, ["train", "refresh"])
    assert do("version", 7).model_extra == {"epoch": 3}
    assert (do("promote", 7).version, do("promote", 7).source) == (9, 7)
    assert do("pin", 7).pinned
    assert not do("unpin", 7).pinned
    assert do("info").model_dump()["backbone"] == {"name": "minilm"}


def test_forgetting_a_class_or_examples_and_its_report(do: Do, server: SmallServer) -> None:
    server.labels["mail"] = ["x/y", "z"]
    asked = do("forget", "mail", label="z")
    assert (asked.erasure, do("erasure", asked).status) == ("e1", "forgetting")
    do("forget", "mail", ids=iter(["a", "b"]))
    report = do("erasure", "e1")
    assert (report.status, report.version, report.examples, report.exact) == (
        "forgotten",
        9,
        2,
        True,
    )
    paths = [(one.method, one.path) for one in server.seen if one.method != "GET"]
    assert paths == [
        ("DELETE", "/v1/tasks/mail/labels/z"),
        ("POST", "/v1/tasks/mail/examples/forget"),
    ]
    with pytest.raises(ValueError, match="either a label or ids"):
        do("forget", "mail", label="z", ids=["a"])


def test_canaries(do: Do, server: SmallServer) -> None:
    state = do("start_canary", 7, 5, errors=2)
    assert server.seen[0].body == {"version": 7, "percent": 5, "rules": {"errors": 2}}
    assert (state.canary.version, state.comparison.requests["live"]) == (7, 95)
    assert do("canary") == state
    stopped = do("stop_canary")
    assert (stopped.canary, stopped.ended.reason) == (None, "a caller ended it")


def test_the_caller_is_named_where_one_is_given(do: Do, server: SmallServer) -> None:
    do("classify", "a", caller="anna")
    do("classify", "a")
    assert [one.headers.get("x-perennial-caller") for one in server.seen] == ["anna", None]


def test_declare_says_which_labels_a_task_may_have(do: Do, server: SmallServer) -> None:
    server.refuse(503)
    assert do("declare", "mail", {"x"}).declared_labels == ("x",)
    assert [one.method for one in server.seen] == ["PUT", "PUT"]


def test_history_comes_in_pages(do: Do) -> None:
    first = do("versions", limit=1)
    assert ([one.version for one in first.versions], first.before) == ([8], 8)
    last = do("versions", before=first.before)
    assert ([one.version for one in last.versions], last.before) == ([7], None)


def test_the_key_goes_with_every_call(kind: str, server: SmallServer) -> None:
    _do(kind, server.url, key="secret")("info")
    assert server.seen[0].headers["authorization"] == "Bearer secret"
    assert server.seen[0].headers["user-agent"].startswith("perennial-client/")


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Client(key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://there", "", "http://", "http://host:port"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Malformed),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (413, TooLarge),
        (415, UnsupportedMedia),
        (418, Problem),
        (422, Invalid),
        (500, ServerError),
        (501, ServerError),
    ],
)
def test_a_problem_becomes_its_error_at_once(
    do: Do, server: SmallServer, status: int, error: type[Problem]
) -> None:
    server.refuse(status, type="https://x/kind", title="No", detail="not so", pointer="#/inputs")
    with pytest.raises(error, match="not so") as caught:
        do("classify", "text")
    problem = caught.value
    assert type(problem) is error
    assert (problem.status, problem.type, problem.title) == (status, "https://x/kind", "No")
    assert problem.members == {"pointer": "#/inputs"}
    assert len(server.seen) == 1


def test_an_error_page_of_something_else_is_shown_in_part(do: Do, server: SmallServer) -> None:
    server.answer("<h1>Bad gateway</h1>" + "x" * 1000, status=502)
    with pytest.raises(ServerError, match="Bad gateway") as caught:
        do("info")
    assert len(caught.value.detail) == 200


@pytest.mark.parametrize("body", ["<html>", "[1]", '{"else": 1}'])
def test_an_answer_of_another_shape_says_so(do: Do, server: SmallServer, body: str) -> None:
    server.answer(body)
    with pytest.raises(UnexpectedAnswer, match="Perennial server"):
        do("classify", "text")
    server.answer(body)
    with pytest.raises(UnexpectedAnswer, match="Perennial server"):
        do("tasks")


@pytest.mark.parametrize("status", [429, 503])
def test_calls_that_may_be_repeated_are(do: Do, server: SmallServer, status: int) -> None:
    for call in (("info",), ("classify", "text"), ("learn", "mail", [("a", "x")])):
        server.seen.clear()
        server.refuse(status)
        server.refuse(status, retry_after=0)
        do(*call)
        assert len(server.seen) == 3, call


def test_a_repeated_batch_carries_the_same_key(do: Do, server: SmallServer) -> None:
    server.refuse(503)
    do("learn", "mail", iter([("a", "x")]))
    first, second = server.calls("/v1/tasks/mail/examples")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body == {"examples": [{"input": "a", "label": "x"}]}


def test_calls_that_act_twice_are_sent_once(do: Do, server: SmallServer) -> None:
    for call in (("promote", 7), ("forget", "mail")):
        server.seen.clear()
        server.refuse(503)
        with pytest.raises(NotReady):
            do(*call)
        assert len(server.seen) == 1, call


def test_retries_end(do: Do, server: SmallServer) -> None:
    for _ in range(AT_ONCE.attempts):
        server.refuse(429, retry_after=0)
    with pytest.raises(Overloaded):
        do("info")
    assert len(server.seen) == AT_ONCE.attempts


def test_a_conflict_is_repeated_only_where_the_server_names_a_time(
    do: Do, server: SmallServer
) -> None:
    server.refuse(409, retry_after=0)
    do("classify", "text", min_version=9)
    assert len(server.seen) == 2


def test_a_server_that_asks_for_too_long_a_pause_is_not_asked_again(
    kind: str, server: SmallServer
) -> None:
    server.refuse(429, retry_after=3600)
    with pytest.raises(Overloaded) as caught:
        _do(kind, server.url, Retries(longest_pause=60))("info")
    assert (caught.value.retry_after, len(server.seen)) == (3600.0, 1)


@contextmanager
def _breaking_off(answers: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one connection after the other with these bytes, and hangs up."""
    asked: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join()


def test_a_connection_that_breaks_off_is_tried_again(kind: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with _breaking_off([b"", b"HTTP/1.1 200 OK\r\n", answer]) as (url, asked):
        _do(kind, url)("info")
    assert len(asked) == 3


def test_no_server_is_one_clear_error(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Unreachable, match=url):
        _do(kind, url)("info")


def test_wait_reports_every_change_and_ends_when_published(do: Do) -> None:
    seen: list[Batch] = []
    batch = do("learn", "mail", [("a", "x")])
    ended = do("wait", batch, on_progress=seen.append)
    assert [one.status for one in seen] == [
        "queued",
        "refreshed",
        "training",
        "evaluating",
        "published",
    ]
    assert (ended.status, ended.version) == ("published", 8)


def test_wait_until_refreshed_ends_earlier_and_takes_an_id(do: Do) -> None:
    do("learn", "mail", [("a", "x")])
    assert do("wait", "b1", until="refreshed").status == "refreshed"


def test_wait_raises_for_a_failed_batch(do: Do, server: SmallServer) -> None:
    server.ends_as = "failed"
    batch = do("learn", "mail", [("a", "x")])
    with pytest.raises(BatchFailed, match="no such label") as caught:
        do("wait", batch)
    assert caught.value.batch.status == "failed"


def test_wait_gives_up_and_says_where_the_batch_is(do: Do) -> None:
    batch = do("learn", "mail", [("a", "x")])
    with pytest.raises(WaitTimedOut, match="'queued' after 0 s") as caught:
        do("wait", batch, timeout=0)
    assert isinstance(caught.value, TimeoutError)


def _listen(kind: str, url: str) -> list[tuple[str, dict[str, Any], str | None]]:
    async def listen() -> list[Any]:
        async with AsyncClient(url) as client:
            return [one async for one in client.events()]

    if kind == "async":
        return [(one.name, one.data, one.id) for one in asyncio.run(listen())]
    with Client(url) as client:
        return [(one.name, one.data, one.id) for one in client.events()]


def test_events_come_in_order_until_the_stream_ends(kind: str, server: SmallServer) -> None:
    server.events = [("progress", {"task": "mail", "epoch": 1}), ("published", {"version": 8})]
    assert _listen(kind, server.url) == [
        ("progress", {"task": "mail", "epoch": 1}, "1"),
        ("published", {"version": 8}, "2"),
    ]


def test_refused_and_broken_event_streams_raise(kind: str) -> None:
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\n" + b'{"detail": "key"}'
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nid: 1\ndata: {}\n\n"
    with _breaking_off([refused, broken]) as (url, _):
        with pytest.raises(Forbidden, match="key"):
            _listen(kind, url)
        with pytest.raises(Unreachable, match="/v1/events"):
            _listen(kind, url)
