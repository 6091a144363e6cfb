"""uvicorn's server, except that open event streams end when it is told to stop; and its socket.

uvicorn waits for open connections before it stops the application, and an event stream never closes
by itself.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import uvicorn


class HttpServer(uvicorn.Server):
    """closing: called on the event loop when the shutdown begins, before it waits."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams, then everything else."""
        self._closing()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to this address, port 0 for any free one. Raises OSError where it is taken.

    The protocol is named because asyncio only then turns Nagle's algorithm off, which would make
    answers on kept connections wait for the client's delayed acknowledgement: 40 ms each.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0)
        raise OSError(
            error.errno, f"cannot listen on {host}:{port} ({reason}); choose another --port"
        ) from error
    return listener
