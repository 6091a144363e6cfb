"""What every request goes through before it is routed, outermost first.

    RequestRecord   ids of the request, one log line, its metrics, and 500 for what nobody caught
    BodyLimit       413 as soon as a body, or a stream of lines, grows too large
    Deadline        503 where no answer has begun in time

The service is looked up in the application's state on each request, so that the application object
can be made before there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.logs import request_id
from serving.media_types import LINES, media_type_sent
from serving.problems import Problem
from serving.service import Service
from serving.trace import Trace, begun, joined, trace

logger = logging.getLogger(__name__)

REQUEST_ID = b"x-request-id"
TRACEPARENT = b"traceparent"
TRACERESPONSE = b"traceresponse"
CLOSE = (b"connection", b"close")
REPLICA = (b"x-perennial-replica", uuid.uuid4().hex[:12].encode())
"""Which replica answered: a random name, new for every start of one."""
_OWN_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_UNMATCHED = "unmatched"
_POLLED = ("/health/live", "/health/ready", "/metrics", "/v1/batches/{batch}")
"""Routes that machines ask for all day: logged at debug where nothing is wrong."""
_TOLD = ("caller", "version", "batch")
"""What a route may note in the request's state for its log line."""
STREAMED = "/v1/classify"
"""The path whose bodies may be streams of lines."""
_DRAINED_BYTES = 64 * 2**20
_DRAIN_SECONDS = 5.0


def service_of(scope: Scope) -> Service:
    """The service behind this application. Raises Problem not-ready before there is one."""
    service = _known_service(scope)
    if service is None:
        raise Problem("not-ready", "the server is starting", retry_after=1)
    return service


def _known_service(scope: Scope) -> Service | None:
    service = getattr(scope["app"].state, "service", None)
    return service if isinstance(service, Service) else None


@dataclass
class _Answer:
    """What is known of the answer. status: 0 until it begins."""

    status: int = 0
    began: float = 0.0


class RequestRecord:
    """Gives each request an id, which every answer carries, and writes down how it went."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, known = _ids(scope)
        token, trace_token = request_id.set(name), trace.set(known)
        answer = _Answer()
        started = time.perf_counter()

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.began = message["status"], time.perf_counter()
                message["headers"] = [*message.get("headers", ()), *_marks(scope, name, known)]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            logger.exception("unexpected error")
            if answer.status:
                raise
            await internal_error(name).response()(scope, receive, send_marked)
        finally:
            _record(scope, answer, started)
            request_id.reset(token)
            trace.reset(trace_token)


def _ids(scope: Scope) -> tuple[str, Trace]:
    """The request's id and its trace: the caller's own where they are valid and harmless to log.

    Otherwise new ones, and the same one where the caller sends neither.
    """
    own, parents = b"", []
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            own = value
        elif name == TRACEPARENT:
            parents.append(value)
    new = uuid.uuid4().hex
    spanned = trace.get()  # by `RequestSpan`
    known = spanned or (joined(parents[0]) if len(parents) == 1 else None) or begun(new)
    return (own.decode() if _OWN_ID.fullmatch(own) else new), known


def _marks(scope: Scope, name: str, known: Trace) -> list[tuple[bytes, bytes]]:
    """Headers of every answer. A server that is to stop keeps no connection."""
    marks = [REPLICA, (TRACERESPONSE, known.parent.encode())]
    service = _known_service(scope)
    if service is None or service.settings.engine != "ray":  # there Ray names the request
        marks.append((REQUEST_ID, name.encode()))
    if service is not None and service.ending.began:
        marks.append(CLOSE)
    return marks


def internal_error(name: str) -> Problem:
    """Nobody's fault but the server's. name: the request's id."""
    return Problem(
        "internal-error",
        f"the server failed to answer; its log has the reason under request {name}",
        request=name,
    )


def _record(scope: Scope, answer: _Answer, started: float) -> None:
    """Measures and logs by the route's pattern: paths hold names that users chose."""
    route = getattr(scope.get("route"), "path", _UNMATCHED)
    seconds = (answer.began or time.perf_counter()) - started
    state = scope.get("state", {})
    fields = {
        "method": scope["method"],
        "route": route,
        "status": answer.status,
        "milliseconds": round(seconds * 1000, 2),
        **{name: state[name] for name in _TOLD if name in state},
    }
    polled = route in _POLLED and answer.status < 400
    level = logging.DEBUG if polled else logging.INFO
    logger.log(level, "answered", extra={"fields": fields})
    service = _known_service(scope)
    if service is not None:
        service.metrics.add("perennial_requests", route=route, status=str(answer.status))
        service.metrics.observe("perennial_request_seconds", seconds, route=route)


class BodyLimit:
    """Refuses a body by its announced length, or while it streams in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            limits = service_of(scope).settings.limits
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        coding = headers.get("content-encoding", "identity")
        if coding != "identity":
            await _drain(receive)
            await _encoded(coding).response()(scope, receive, send)
            return
        most = limits.stream_bytes if _is_stream(scope, headers) else limits.body_bytes
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            await _drain(receive)
            await _too_large(most).response()(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                if message.get("more_body"):
                    await _drain(receive)
                raise _too_large(most)
            return message

        await self._app(scope, receive_counted, send)


def _is_stream(scope: Scope, headers: Headers) -> bool:
    """Whether the body is read line by line: everywhere else it is kept as a whole."""
    return scope["path"].endswith(STREAMED) and media_type_sent(headers) in LINES


async def _drain(receive: Receive) -> None:
    """Reads away what is still coming, within bounds.

    Closing on unread bytes resets the connection, and the client loses the answer it is owed.
    """
    left = _DRAINED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _too_large(most: int) -> Problem:
    """Says so and closes the connection: what is left of the body is not kept."""
    return Problem(
        "body-too-large",
        f"the body is larger than {most} bytes; send fewer inputs at once",
        headers={"Connection": "close"},
        limit=most,
    )


def _encoded(coding: str) -> Problem:
    return Problem(
        "unsupported-media-type",
        f"the body is in Content-Encoding {coding!r}, and nothing is unpacked here: send it plain",
        headers={"Accept-Encoding": "identity"},
    )


class Deadline:
    """Gives up on requests whose answer has not begun in time. Streams may then last."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = service_of(scope).settings.limits.deadline_seconds
        timeout = asyncio.timeout(seconds)

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                timeout.reschedule(None)
            await send(message)

        try:
            async with timeout:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if not timeout.expired():
                raise
            problem = Problem(
                "deadline-exceeded",
                f"no answer within {seconds:g} s; send fewer inputs, or again later",
                retry_after=1,
            )
            await problem.response()(scope, receive, send)
