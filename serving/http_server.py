"""uvicorn's server, except that open event streams end when it is told to stop.

uvicorn waits for open connections before it stops the application, and an event stream never closes
by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn


class HttpServer(uvicorn.Server):
    """closing: called on the event loop when the shutdown begins, before it waits."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing()
        await super().shutdown(sockets)
