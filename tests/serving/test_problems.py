"""Every refusal is a problem of its documented kind."""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from backbones import Preprocessed
from prompt_store import Kind, Store
from serving.problems import KINDS, TYPE_PREFIX
from tests.serving.bag_of_words import BagOfWords, HeldBagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, commit, publish

CLASSIFY = "/v1/classify"
TEACH = "/v1/tasks/mail/examples"
ONE = {"input": "a", "label": "b"}
LIMITS = {
    "body_bytes": 4096,
    "inputs": 3,
    "text_characters": 100,
    "examples": 2,
    "labels_per_task": 3,
    "name_characters": 20,
}


def check(answer: httpx.Response, slug: str) -> dict[str, Any]:
    """The problem's members, if the answer is this kind of problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == TYPE_PREFIX + slug, body
    assert answer.status_code == body["status"] == KINDS[slug].status
    assert body["title"] == KINDS[slug].title
    assert body["detail"]
    assert answer.headers["X-Request-Id"]
    return body


@pytest.fixture
def client(store: Store, backbone: BagOfWords, serve: Serve) -> httpx.Client:
    """To a server that knows `MAIL`, with small limits."""
    publish(store, backbone, MAIL)
    return serve(store, backbone, limits=LIMITS).client


@pytest.mark.parametrize("path", [CLASSIFY, TEACH])
@pytest.mark.parametrize("body", ["", "{", '{"inputs": "a"', "nonsense", '{"a": NaN,}'])
def test_malformed_json(client: httpx.Client, path: str, body: str) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    if body:
        check(answer, "malformed-request")
    else:
        check(answer, "invalid-content")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/inputs"),
        ([], "#"),
        ({"inputs": []}, "#/inputs"),
        ({"inputs": [1]}, "#/inputs/0"),
        ({"inputs": ["a", ""]}, "#/inputs/1/text"),
        ({"inputs": ["a", {"text": 3}]}, "#/inputs/1/text"),
        ({"inputs": [{"text_pair": "b"}]}, "#/inputs/0"),
        ({"inputs": [{"text": "a", "image": "AAAA"}]}, "#/inputs/0"),
        ({"inputs": [{"image": "not base64!"}]}, "#/inputs/0/image"),
        ({"inputs": "a", "top_k": 0}, "#/top_k"),
        ({"inputs": "a", "top_k": 101}, "#/top_k"),
        ({"inputs": "a", "version": 0}, "#/version"),
        ({"inputs": "a", "typo": 1}, "#/typo"),
        ({"inputs": "a", "task": "a/b"}, "#/task"),
        ({"inputs": "a", "task": "a" * 21}, "#/task"),
        ({"inputs": ["a"] * 4}, "#/inputs"),
        ({"inputs": ["a", "b" * 101]}, "#/inputs/1"),
        ({"inputs": {"text": "a", "text_pair": "b" * 101}}, "#/inputs/0"),
        ({"inputs": " "}, "#/inputs"),
    ],
)
def test_content_that_cannot_be_classified(client: httpx.Client, body: Any, pointer: str) -> None:
    problem = check(client.post(CLASSIFY, json=body), "invalid-content")
    assert pointer in [one["pointer"] for one in problem["errors"]], problem


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/examples"),
        ({"examples": []}, "#/examples"),
        ({"examples": [ONE] * 3}, "#/examples"),
        ({"examples": [{"input": "a"}]}, "#/examples/0/label"),
        ({"examples": [{"label": "a"}]}, "#/examples/0/input"),
        ({"examples": [ONE, {**ONE, "label": "a/b"}]}, "#/examples/1/label"),
        ({"examples": [{**ONE, "label": ""}]}, "#/examples/0/label"),
        ({"examples": [{**ONE, "label": " a"}]}, "#/examples/0/label"),
        ({"examples": [{**ONE, "label": "a\u0000"}]}, "#/examples/0/label"),
        ({"examples": [{**ONE, "label": "a\u202eb"}]}, "#/examples/0/label"),
        ({"examples": [{**ONE, "label": "a" * 129}]}, "#/examples/0/label"),
        ({"examples": [{**ONE, "label": "a" * 21}]}, "#/examples/0/label"),
        ({"examples": [ONE, {**ONE, "input": "b" * 101}]}, "#/examples/1/input"),
        ({"examples": [{**ONE, "id": "with blank"}]}, "#/examples/0/id"),
        ({"examples": [ONE, {**ONE, "label": "c"}]}, "#/examples"),  # with two known: four labels
    ],
)
def test_content_that_cannot_be_learnt(client: httpx.Client, body: Any, pointer: str) -> None:
    problem = check(client.post(TEACH, json=body), "invalid-content")
    assert pointer in [one["pointer"] for one in problem["errors"]], problem


@pytest.mark.parametrize("name", ["a%00", "%20a", "a%0Ab", "a" * 129, "a" * 21])
def test_task_names_that_are_not_names(client: httpx.Client, name: str) -> None:
    check(client.post(f"/v1/tasks/{name}/examples", json={"examples": [ONE]}), "invalid-content")
    check(client.put(f"/v1/tasks/{name}", json={}), "invalid-content")


@pytest.mark.parametrize("key", ["", "with blank", "é".encode().decode("latin1"), "k" * 256])
def test_idempotency_keys_that_are_not_keys(client: httpx.Client, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin1")}
    answer = client.post(TEACH, json={"examples": [ONE]}, headers=headers)  # type: ignore[arg-type]
    problem = check(answer, "invalid-content")
    assert problem["errors"][0]["parameter"] == "Idempotency-Key"


@pytest.mark.parametrize("media_type", ["text/plain", "image/gif", None])
@pytest.mark.parametrize("path", [CLASSIFY, TEACH])
def test_media_types(client: httpx.Client, path: str, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    check(client.post(path, content=b'{"inputs": "a"}', headers=headers), "unsupported-media-type")


@pytest.mark.parametrize("path", [CLASSIFY, TEACH])
def test_images_for_a_backbone_that_reads(client: httpx.Client, path: str) -> None:
    image = {"image": base64.b64encode(b"png").decode()}
    body = {"inputs": image} if path == CLASSIFY else {"examples": [{**ONE, "input": image}]}
    problem = check(client.post(path, json=body), "unsupported-input")
    assert "bag-of-words sees texts" in problem["detail"]


def test_an_announced_body_that_is_too_large(client: httpx.Client) -> None:
    problem = check(client.post(CLASSIFY, content=b"x" * 5000), "body-too-large")
    assert problem["limit"] == 4096


@pytest.mark.parametrize("path", [CLASSIFY, TEACH])
def test_a_streamed_body_is_refused_before_it_ends(client: httpx.Client, path: str) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(5):  # 5 of the 4 kB that are allowed, and no end in sight
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        answer = b""
        while part := connection.recv(65536):  # until the server closes
            answer += part
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"/problems/body-too-large" in answer
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b'{"inputs": "\xff\xfe"}', "malformed-request"),
        (b"[" * 3000, "malformed-request"),
        (b'{"inputs": "\\ud800"}', "invalid-content"),
        (b'{"inputs": ["a", "\\udfff b"]}', "invalid-content"),
        (b'{"inputs": "a", "task": "\\ud800"}', "invalid-content"),
        (b'{"inputs": "a", "top_k": 1e999}', "invalid-content"),
        (b'{"inputs": "a", "version": 99999999999999999999}', "invalid-content"),
        (b'{"inputs": "a", "min_version": 99999999999999999999}', "invalid-content"),
        (b'{"inputs": null}', "invalid-content"),
        (b"null", "invalid-content"),
        (b'"text"', "invalid-content"),
    ],
)
def test_hostile_bodies_are_refused_like_others(
    client: httpx.Client, body: bytes, slug: str
) -> None:
    answer = client.post(CLASSIFY, content=body, headers={"Content-Type": "application/json"})
    check(answer, slug)


def test_hostile_examples_are_refused_like_others(client: httpx.Client) -> None:
    for member in ("input", "label"):
        body = orjson.dumps({"examples": [{**ONE, member: "SURROGATE"}]})
        answer = client.post(
            TEACH,
            content=body.replace(b"SURROGATE", b"\\ud800"),
            headers={"Content-Type": "application/json"},
        )
        check(answer, "invalid-content")


def test_what_is_not_there(client: httpx.Client) -> None:
    check(client.get("/nothing"), "not-found")
    check(client.get("/v1/tasks/"), "not-found")
    check(client.get("/v1/tasks/mial"), "unknown-task")
    check(client.post(CLASSIFY, json={"inputs": "a", "task": "mial"}), "unknown-task")
    check(client.get("/v1/batches/01JD4Q8ZK3W9V7X5M2N6P0R1ST"), "unknown-batch")
    check(client.get("/v1/batches/..%2f..%2fformat"), "not-found")
    check(client.get("/v1/batches/.hidden"), "unknown-batch")
    check(client.get("/v1/versions/99"), "unknown-version")
    check(client.post("/v1/versions/99/promote"), "unknown-version")
    check(client.post(CLASSIFY, json={"inputs": "a", "version": 99}), "unknown-version")


@pytest.mark.parametrize("number", ["0", "-1", "zero", "99999999999999999999"])
def test_numbers_that_no_version_has(client: httpx.Client, number: str) -> None:
    check(client.get(f"/v1/versions/{number}"), "invalid-content")
    check(client.get(f"/v1/versions?before={number}"), "invalid-content")
    check(client.post(f"/v1/versions/{number}/promote"), "invalid-content")


def test_methods(client: httpx.Client) -> None:
    answer = client.get(CLASSIFY)
    check(answer, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"
    for address, allowed in (("/v1/tasks/mail", "DELETE, GET, PUT"), ("/v1/feedback", "GET, POST")):
        assert client.patch(address).headers["Allow"] == allowed


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "before=0"])
def test_parameters(client: httpx.Client, query: str) -> None:
    problem = check(client.get(f"/v1/versions?{query}"), "invalid-content")
    assert problem["errors"][0]["parameter"] == query.partition("=")[0]
    check(client.get("/v1/versions/zero"), "invalid-content")


def test_versions_that_cannot_be_served_or_promoted(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    store.fence("test")
    foreign = publish(store, BagOfWords("another"), MAIL, kind=Kind.CANDIDATE).version
    broken = commit(store, backbone, MAIL, {}, kind=Kind.CANDIDATE).version
    client = serve(store, backbone).client
    for version in (2, foreign, broken):
        answer = client.post(CLASSIFY, json={"inputs": "a", "version": version})
        assert check(answer, "version-not-loadable")["version"] == version
    check(client.post("/v1/versions/2/promote"), "not-promotable")
    check(client.post(f"/v1/versions/{foreign}/promote"), "version-not-loadable")
    assert store.timeline().live == 1


class Failing(BagOfWords):
    """Breaks on a word, after the warming."""

    def preprocess(self, inputs: Any) -> Preprocessed:
        if any(one.text == "break" for one in inputs):
            raise RuntimeError("secret path /etc/passwd")
        return super().preprocess(inputs)


def test_an_unexpected_error_tells_its_request_and_nothing_else(
    store: Store, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = Failing()
    publish(store, backbone, BOTH)
    client = serve(store, backbone).client
    answer = client.post(CLASSIFY, json={"inputs": "break"}, headers={"X-Request-Id": "mine-1"})
    problem = check(answer, "internal-error")
    assert problem["request"] == answer.headers["X-Request-Id"] == "mine-1"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret path" in caplog.text
    assert client.post(CLASSIFY, json={"inputs": "fine"}).status_code == 200


def test_a_server_that_is_not_ready(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    publish(store, BagOfWords("another"), MAIL)
    client = serve(store, backbone, ready=False).client
    assert client.get("/health/live").status_code == 200
    answer = client.get("/health/ready")
    check(answer, "not-ready")
    assert answer.headers["Retry-After"] == "1"
    check(client.post(CLASSIFY, json={"inputs": "a"}), "not-ready")
    assert "another" in client.get("/v1/info").json()["trouble"][0]


def test_an_answer_that_takes_too_long(store: Store, held: HeldBagOfWords, serve: Serve) -> None:
    publish(store, held, MAIL)
    running = serve(store, held, limits={"deadline_seconds": 0.2})
    held.hold()
    answer = running.client.post(CLASSIFY, json={"inputs": "a"})
    check(answer, "deadline-exceeded")
    assert answer.headers["Retry-After"]
    held.release()
    assert running.client.post(CLASSIFY, json={"inputs": "a"}).status_code == 200


def test_every_kind_of_problem_is_documented() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "problems.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", page, re.MULTILINE))
    assert rows == {slug: str(kind.status) for slug, kind in KINDS.items()}
