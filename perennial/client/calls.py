"""The calls of the API as data: what to send, whether it may be sent twice, how to read the answer.

Both clients send these; nothing here touches the network.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from perennial.client.errors import UnexpectedAnswer, problem
from perennial.client.parts import in_bounded_parts
from perennial.client.results import (
    Batch,
    CanaryState,
    Classification,
    Erasure,
    Feedback,
    Forgetting,
    Info,
    LiveAccuracy,
    StreamResult,
    Task,
    Version,
    Versions,
)

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Input = str | bytes | Path | Mapping[str, str]
"""A text, the bytes of an image file, the path of one, or the API's own form.

That is `{"text", "text_pair"?}` or `{"image"}`. A path that cannot be read raises OSError.
"""

LabelledInput = tuple[Input, str] | Mapping[str, Any]
"""An input with its label, or the API's form: `{"input", "label"}`."""

Truth = tuple[str, str] | Mapping[str, Any]
"""A prediction's id with its true label, or the API's form: `{"prediction_id", "label", …}`."""


PART_LINES = 1024
PART_BYTES = 8 * 2**20
"""Bounds of one request of a stream: HTTP libraries send all of it before they read answers."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. repeatable: sending it twice does no more than sending it once."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: dict[str, Any] | None = None
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    repeatable: bool = False


@dataclass(frozen=True)
class Lines:
    """A part of a stream: one request with an input a line. It may be sent twice."""

    content: bytes
    query: dict[str, Any]
    headers: dict[str, str]

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The same for a client to send."""
        headers = {"Content-Type": "application/x-ndjson", **self.headers}
        return http.build_request(
            "POST", "/v1/classify", params=self.query, content=self.content, headers=headers
        )


def classify(
    inputs: Input | Iterable[Input],
    task: str | None,
    top_k: int,
    version: int | None,
    min_version: int | None,
    caller: str | None,
) -> Call[Classification]:
    body = {
        "inputs": [_input(one) for one in _many(inputs)],
        "top_k": top_k,
        **_given(task=task, version=version, min_version=min_version),
    }
    headers = _named(caller)
    return Call("POST", "/v1/classify", _as(Classification), body, headers=headers, repeatable=True)


def classify_stream(
    inputs: Iterable[Input],
    task: str | None,
    top_k: int,
    version: int | None,
    min_version: int | None,
    caller: str | None,
) -> Iterator[Lines]:
    """Inputs are read when their part is due."""
    query = {"top_k": top_k, **_given(task=task, version=version, min_version=min_version)}
    lines = (json.dumps(_input(one)).encode() + b"\n" for one in inputs)
    for part in in_bounded_parts(lines, PART_LINES, PART_BYTES, len):
        yield Lines(b"".join(part), query, _named(caller))


def stream_result(line: str) -> StreamResult:
    """One line of the answer. Raises Problem where it says that the stream ended too early."""
    try:
        members = json.loads(line)
        number = members.pop("line", None)  # counted from where the part begins: of no use here
        result = StreamResult.model_validate(members)
    except (AttributeError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(
            f"a line of the answer is of a shape this client does not know ({error})"
        ) from error
    if result.error is not None and number is None:
        raise problem(result.error.status, result.error.model_dump())
    return result


def learn(task: str, examples: Iterable[LabelledInput], idempotency_key: str | None) -> Call[Batch]:
    """Repeatable, because the key (made up where none is given) makes the server accept it once."""
    return Call(
        "POST",
        f"/v1/tasks/{_segment(task)}/examples",
        _as(Batch),
        {"examples": [_example(one) for one in examples]},
        headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
        repeatable=True,
    )


def feedback(truths: Iterable[Truth], learn: bool) -> Call[Feedback]:
    """Repeatable: a replica counts a prediction once, and the same ones are one batch."""
    body = {"feedback": [_truth(one) for one in truths], "learn": learn}
    return Call("POST", "/v1/feedback", _as(Feedback), body, repeatable=True)


def live_accuracy() -> Call[LiveAccuracy]:
    return _get("/v1/feedback", _as(LiveAccuracy))


def batch(batch_id: str) -> Call[Batch]:
    return _get(f"/v1/batches/{_segment(batch_id)}", _as(Batch))


def tasks() -> Call[tuple[Task, ...]]:
    return _get("/v1/tasks", _tasks)


def task(name: str) -> Call[Task]:
    return _get(f"/v1/tasks/{_segment(name)}", _as(Task))


def declare(name: str, labels: Iterable[str]) -> Call[Task]:
    path = f"/v1/tasks/{_segment(name)}"
    return Call("PUT", path, _as(Task), {"labels": list(labels)}, repeatable=True)


def forget(name: str, label: str | None, ids: Iterable[str] | None) -> Call[Forgetting]:
    """Raises ValueError for both a label and ids."""
    path = f"/v1/tasks/{_segment(name)}"
    if ids is None:
        path += "" if label is None else f"/labels/{_segment(label)}"
        return Call("DELETE", path, _as(Forgetting))
    if label is not None:
        raise ValueError("either a label or ids of examples can be forgotten in one call")
    return Call("POST", f"{path}/examples/forget", _as(Forgetting), {"ids": list(ids)})


def erasure(erasure_id: str) -> Call[Erasure]:
    return _get(f"/v1/erasures/{_segment(erasure_id)}", _as(Erasure))


def versions(limit: int | None, before: int | None) -> Call[Versions]:
    return _get("/v1/versions", _as(Versions), _given(limit=limit, before=before))


def version(number: int) -> Call[Version]:
    return _get(f"/v1/versions/{number}", _as(Version))


def promote(number: int) -> Call[Version]:
    return Call("POST", f"/v1/versions/{number}/promote", _as(Version))


def pin(number: int) -> Call[Version]:
    return Call("PUT", f"/v1/versions/{number}/pin", _as(Version), repeatable=True)


def unpin(number: int) -> Call[Version]:
    return Call("DELETE", f"/v1/versions/{number}/pin", _as(Version), repeatable=True)


def canary() -> Call[CanaryState]:
    return _get("/v1/canary", _as(CanaryState))


def start_canary(version: int, percent: float, rules: dict[str, Any]) -> Call[CanaryState]:
    """Repeatable: the same again changes nothing."""
    body = {"version": version, "percent": percent, "rules": rules}
    return Call("PUT", "/v1/canary", _as(CanaryState), body, repeatable=True)


def stop_canary() -> Call[CanaryState]:
    return Call("DELETE", "/v1/canary", _as(CanaryState), repeatable=True)


def info() -> Call[Info]:
    return _get("/v1/info", _as(Info))


def _get(
    path: str, read: Callable[[httpx.Response], T], query: dict[str, Any] | None = None
) -> Call[T]:
    return Call("GET", path, read, query=query or {}, repeatable=True)


def _given(**asked: Any) -> dict[str, Any]:
    """Only what was asked for: the rest is the server's to decide."""
    return {name: value for name, value in asked.items() if value is not None}


def _named(caller: str | None) -> dict[str, str]:
    return {} if caller is None else {"X-Perennial-Caller": caller}


def _segment(name: str) -> str:
    return quote(name, safe="")


def _many(inputs: Input | Iterable[Input]) -> list[Input]:
    if isinstance(inputs, str | bytes | Path | Mapping):
        return [inputs]
    return list(inputs)


def _input(one: Input) -> str | dict[str, str]:
    if isinstance(one, str):
        return one
    if isinstance(one, Path):
        one = one.read_bytes()
    if isinstance(one, bytes):
        return {"image": base64.b64encode(one).decode("ascii")}
    return dict(one)


def _example(one: LabelledInput) -> dict[str, Any]:
    if isinstance(one, Mapping):
        return {**one, "input": _input(one["input"])} if "input" in one else dict(one)
    given, label = one
    return {"input": _input(given), "label": label}


def _truth(one: Truth) -> dict[str, Any]:
    if isinstance(one, Mapping):
        return {**one, "input": _input(one["input"])} if "input" in one else dict(one)
    name, label = one
    return {"prediction_id": name, "label": label}


def _as(model: type[M]) -> Callable[[httpx.Response], M]:
    def read(response: httpx.Response) -> M:
        try:
            return model.model_validate(_members(response))
        except ValidationError as error:
            raise _unexpected(response, str(error)) from error

    return read


def _tasks(response: httpx.Response) -> tuple[Task, ...]:
    try:
        return tuple(Task.model_validate(one) for one in _members(response)["tasks"])
    except (KeyError, TypeError, ValidationError) as error:
        raise _unexpected(response, str(error)) from error


def _members(response: httpx.Response) -> dict[str, Any]:
    if not response.content:
        return {}
    try:
        body = response.json()
    except ValueError as error:
        raise _unexpected(response, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise _unexpected(response, f"the body is a {type(body).__name__}, not an object")
    return body


def _unexpected(response: httpx.Response, reason: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{response.request.method} {response.request.url} answered {response.status_code} in a "
        f"shape this client does not know ({reason}); check that the URL is a Perennial server"
    )
