"""The socket that a server listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from serving.http_server import listen


async def test_connections_send_small_answers_at_once() -> None:
    """What uvicorn does with the socket: asyncio turns Nagle's algorithm off, or does not."""
    delays: list[int] = []
    met = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        delays.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        met.set()

    with listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(meet, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            await met.wait()
            writer.close()
            await writer.wait_closed()
    assert delays[0] != 0


def test_a_taken_address_is_named() -> None:
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        host, port = listener.getsockname()
        with pytest.raises(OSError, match=f"cannot listen on {host}:{port} .*another --port"):
            listen(host, port)
