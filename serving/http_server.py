"""uvicorn's server, with an end that loses nothing; and its socket.

    leave     readiness is withdrawn, streams are told, answers close their connections
    drain     meanwhile everything is answered, until no connection is open or time is up
    close     the listener and idle connections; requests under way may finish
    hurry     what still waits for a pass is refused, so that it gets an answer

Closing at once would reset requests that are on their way over open connections.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

import uvicorn

from serving.service import Service

log = logging.getLogger(__name__)

LAST_SECONDS: Final = 2.0
"""Of the grace: for answers to what was refused."""
_POLL_SECONDS: Final = 0.02


class HttpServer(uvicorn.Server):
    """leave: also called when the server is told to stop; abandon: when it is told twice.

    The second signal ends the process at once; what was accepted is in the store.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        leave: Callable[[], None] = lambda: None,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        config.timeout_graceful_shutdown = service.settings.stopping.grace_seconds  # type: ignore[assignment]  # any number will do
        self._service = service
        self._leave = leave
        self._abandon = abandon

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends it in order, the second now."""
        if self.should_exit:
            log.warning("told to stop again: ending now")
            self._abandon()
            os._exit(128 + sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See above."""
        stopping = self._service.settings.stopping
        self._service.leave()
        self._leave()
        await self._drain(stopping.drain_seconds)
        last = max(0.0, stopping.grace_seconds - LAST_SECONDS)
        hurry = asyncio.get_running_loop().call_later(last, self._service.hurry)
        await super().shutdown(sockets)
        hurry.cancel()

    async def _drain(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.server_state.connections:
                    await asyncio.sleep(_POLL_SECONDS)


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
