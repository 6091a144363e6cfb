"""Refuses questions while too many wait, before any more work is done for them.

Under overload most requests are refused, and what that costs is taken from those that are answered:
here it is a sixth of what it costs behind routing, authentication and the body.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.media_types import LINES, media_type_sent
from serving.middleware import STREAMED, service_of
from serving.problems import Problem

SMALL: Final = 4096
"""Bytes of a body that holds few inputs. What is larger may be a long request, which may wait
longer: it is read first."""
_ROUTE: Final = SimpleNamespace(path=STREAMED)  # what logs and measurements call it


class Admission:
    """Around the application: `Batcher.check_room` for one input, asked early."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and _asks_little(scope):
            try:
                service_of(scope).batcher.check_room(1, patient=False)
            except Problem as problem:
                scope["route"] = _ROUTE
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _asks_little(scope: Scope) -> bool:
    """Streams pause instead, however short."""
    if not scope["path"].endswith(STREAMED):
        return False
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    short = length.isdecimal() and int(length) <= SMALL
    return short and media_type_sent(headers) not in LINES
