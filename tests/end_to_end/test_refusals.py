"""Bad input to a real server: each the documented problem, nothing half-written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.running_server import RunningServer
from perennial.client import Client
from tests.end_to_end.conftest import needs_minilm

pytestmark = [pytest.mark.slow, needs_minilm]

PROBLEMS = "https://perennial.dev/problems/"
EXAMPLES = "/v1/tasks/refusals/examples"
ROW = {"input": "text", "label": "a"}


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "problem"),
    [
        ("POST", EXAMPLES, {"examples": []}, 422, "invalid-content"),
        ("POST", EXAMPLES, {"examples": [{"input": "x", "label": ""}]}, 422, "invalid-content"),
        ("POST", EXAMPLES, {"examples": [{"input": "", "label": "a"}]}, 422, "invalid-content"),
        ("POST", EXAMPLES, {"examples": [ROW] * 1001}, 422, "invalid-content"),
        ("POST", EXAMPLES, {"exampels": [ROW]}, 422, "invalid-content"),
        ("POST", "/v1/classify", {"inputs": []}, 422, "invalid-content"),
        ("POST", "/v1/classify", {"inputs": ["x" * 20_001]}, 422, "invalid-content"),
        ("POST", "/v1/classify", {"inputs": ["x"], "task": "nobody"}, 404, "unknown-task"),
        ("POST", "/v1/classify", {"inputs": ["x"], "version": 999_999}, 404, "unknown-version"),
        ("POST", "/v1/versions/999999/promote", None, 404, "unknown-version"),
        ("GET", "/v1/versions/999999", None, 404, "unknown-version"),
        ("GET", "/v1/batches/01ARZ3NDEKTSV4RRFFQ69G5FAV", None, 404, "unknown-batch"),
        ("GET", "/v1/tasks/nobody", None, 404, "unknown-task"),
    ],
)
def test_each_refusal_is_the_documented_problem(
    http: httpx.Client, method: str, path: str, body: Any, status: int, problem: str
) -> None:
    learn_something(http)
    response = http.request(method, path, json=body)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, response.json()["type"]) == (status, PROBLEMS + problem)
    assert response.json()["detail"]


def test_json_that_is_none_is_malformed(http: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    response = http.post("/v1/classify", content=b'{"inputs": [', headers=headers)
    assert (response.status_code, response.json()["status"]) == (400, 400)


def test_a_body_over_the_limit_is_refused(http: httpx.Client) -> None:
    response = http.post("/v1/classify", json={"inputs": ["x" * 11_000_000]})
    assert response.status_code == 413


def test_a_key_used_again_with_another_body_is_refused(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one-key"}
    first = http.post(EXAMPLES, json={"examples": [ROW]}, headers=headers)
    again = http.post(EXAMPLES, json={"examples": [ROW]}, headers=headers)
    other = http.post(EXAMPLES, json={"examples": [ROW, ROW]}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert first.json()["batch"] == again.json()["batch"]


def test_refused_batches_leave_nothing_behind(http: httpx.Client) -> None:
    before = http.get("/v1/info").json()["pending_batches"]
    bodies: list[Any] = [{"examples": []}, {"examples": [{"input": "x", "label": "\x00"}]}]
    for body in bodies:
        assert http.post("/v1/tasks/ghost/examples", json=body).status_code == 422
    assert http.get("/v1/tasks/ghost").status_code == 404
    assert http.get("/v1/info").json()["pending_batches"] <= before


def learn_something(http: httpx.Client) -> None:
    """So that classify has classes: a batch with one class only, which is accepted."""
    if http.get("/v1/tasks").json()["tasks"]:
        return
    batch = http.post(EXAMPLES, json={"examples": [ROW]}).json()["batch"]
    with Client(str(http.base_url)) as client:
        assert client.wait(batch, timeout=120).status == "published"
