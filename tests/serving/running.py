"""A real server in a thread of the test's process, on a free loopback port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from serving.app import create_app
from serving.http_server import HttpServer, configured, listen
from serving.service import Service

T = TypeVar("T")


@dataclass
class Running:
    """A server that answers. `client` speaks to it."""

    service: Service
    client: httpx.Client
    url: str
    loop: asyncio.AbstractEventLoop

    def on_loop(self, call: Callable[[], T]) -> T:
        """The result of a call made on the server's event loop."""

        async def run() -> T:
            return call()

        return self.wait(run())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine run on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def reach(self, version: int) -> None:
        """Returns when this version is served."""
        self.wait(self.service.watcher.reached(version))


@contextmanager
def running(service: Service, *, ready: bool = True, host: str = "127.0.0.1") -> Iterator[Running]:
    """The service behind HTTP. ready: wait until it is."""
    server = HttpServer(
        configured(create_app(service), service.settings),
        service,
    )
    loops: list[asyncio.AbstractEventLoop] = []
    started = threading.Event()
    listener = listen(host, 0)

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.001)
        if ready and server.started:
            await service.watcher.until_ready()
        started.set()
        await serving

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="server")
    thread.start()
    try:
        assert started.wait(30)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Running(service, client, url, loops[0])
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive()
