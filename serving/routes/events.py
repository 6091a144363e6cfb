"""`GET /v1/events`: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from learner.events import Event
from serving.events import Dropped, EventBus, Subscription
from serving.metrics import Metrics
from serving.routes.common import PREDICT, ServiceDependency, may_still

router = APIRouter(tags=["events"])

MEDIA_TYPE = "text/event-stream"
_HEARTBEAT = b": heartbeat\n\n"
_HELLO = b"retry: 2000\n\n"  # milliseconds a browser waits before it connects again
_DROPPED = (
    b'event: dropped\ndata: {"kind":"dropped","message":"this listener was too slow; connect '
    b'again, and ask for what was missed: GET /v1/versions, GET /v1/batches/{id}"}\n\n'
)
_STREAM = """\
id: 7
event: swapped
data: {"kind":"swapped","at":1769860801.5,"version":42}

: heartbeat

"""


class EventStream(StreamingResponse):
    """What one subscriber gets, from the moment this is made until either side ends it."""

    media_type = MEDIA_TYPE

    def __init__(
        self, bus: EventBus, metrics: Metrics, heartbeat: float, admitted: Callable[[], bool]
    ) -> None:
        """admitted: whether the subscriber may still listen."""
        self._bus = bus
        self._metrics = metrics
        self._subscription = bus.subscribe()
        super().__init__(
            _lines(self._subscription, heartbeat, admitted),
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.set("perennial_event_subscribers", self._bus.subscribers)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._bus.unsubscribe(self._subscription)
            self._metrics.set("perennial_event_subscribers", self._bus.subscribers)


@router.get(
    "/v1/events",
    summary="Listen",
    status_code=200,
    response_class=EventStream,
    dependencies=PREDICT,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _STREAM}}}},
)
async def listen(request: Request, service: ServiceDependency) -> EventStream:
    """What happens here from now on: progress, refreshed, published, candidate, failed, swapped.

    Comments come as heartbeats. A listener that falls behind gets `dropped` as its last event. The
    stream ends, at a heartbeat at the latest, when the listener's key is revoked.
    """
    heartbeat = service.settings.polling.heartbeat_seconds
    return EventStream(service.events, service.metrics, heartbeat, may_still(request))


async def _lines(
    subscription: Subscription, heartbeat: float, admitted: Callable[[], bool]
) -> AsyncIterator[bytes]:
    yield _HELLO
    try:
        while (line := await _next_line(subscription, heartbeat)) is not None and admitted():
            yield line
    except Dropped:
        yield _DROPPED


async def _next_line(subscription: Subscription, heartbeat: float) -> bytes | None:
    try:
        numbered = await asyncio.wait_for(subscription.next(), heartbeat)
    except TimeoutError:
        return _HEARTBEAT
    return None if numbered is None else _line(numbered.number, numbered.event)


def _line(number: int, event: Event) -> bytes:
    members = orjson.dumps(event.model_dump(mode="json", exclude_none=True))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, event.kind.encode(), members)
