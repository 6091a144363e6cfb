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
import math
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from serving.service import Service
from serving.settings import Settings

log = logging.getLogger(__name__)

BACKLOG: Final = 2048
LAST_SECONDS: Final = 2.0
"""Of the grace: for answers to what was refused."""
_POLL_SECONDS: Final = 0.02


def configured(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application. Raises OSError where the certificate is of no use."""
    _check_certificate(settings)
    return uvicorn.Config(
        app,
        backlog=BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.stopping.grace_seconds),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
    )


def _check_certificate(settings: Settings) -> None:
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        raise OSError(
            f"the certificate {certificate} with the key {key or certificate} cannot be used: "
            f"{error}; both are PEM, belong together, and the key has no passphrase"
        ) from error


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
