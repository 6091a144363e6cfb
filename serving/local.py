"""The whole application without Ray: one server process with uvicorn, and a learner beside it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from learner.events import Event
from learner.matrix_threads import bound_blas
from learner.origin import check_backbone
from prompt_store import Store, open_backend
from serving.app import create_app
from serving.http_server import HttpServer, configured, listen
from serving.learner_process import LearnerProcess
from serving.measured_backend import MeasuredBackend
from serving.metrics import PrometheusMetrics
from serving.precision import load_engines
from serving.service import Service
from serving.settings import Settings

log = logging.getLogger(__name__)


def run(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM.

    `announce` gets the base URL once requests are answered. Raises OSError where the address is
    taken, and what opening the store or the backbone raises.
    """
    listener = listen(settings.host, settings.port)
    server = LocalServer(settings)
    config = configured(server.app, settings)
    server.learner.start()
    try:
        learner = server.learner
        http = HttpServer(config, server.service, leave=learner.end, abandon=learner.kill)
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(server, http, listener, announce or _ignore))
    finally:
        server.learner.stop()
        listener.close()


class LocalServer:
    """The pieces of a local server, wired: service, application, learner process."""

    def __init__(self, settings: Settings) -> None:
        """Raises BackboneError, StoreError, ForeignStore (it was learnt with another backbone)."""
        self.loop: asyncio.AbstractEventLoop | None = None
        metrics = PrometheusMetrics()
        store = Store.on(MeasuredBackend(open_backend(settings.store), metrics))
        bound_blas(1)
        log.info("loading the backbone %s", settings.backbone)
        engines = load_engines(settings)
        live = store.timeline().live
        if live is not None:
            check_backbone(store.manifest(live), engines.usual.description.fingerprint)
        self.service = Service(
            store,
            engines,
            settings,
            metrics,
            wake=lambda: self.learner.wake(),
        )
        self.learner = LearnerProcess(
            settings.store,
            settings.backbone,
            settings.learner,
            self._observe,
            settings.image_options(),
            settings.precision,
            settings.logging(),
            settings.retention,
        )
        self.app = create_app(self.service)

    def _observe(self, event: Event) -> None:
        """From the learner's thread: pass on its progress; what it published is worth a look."""
        self.service.observe(event)
        if event.version is not None and self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.service.refresh, event.version)


async def _serve(
    server: LocalServer,
    http: HttpServer,
    listener: socket.socket,
    announce: Callable[[str], None],
) -> None:
    server.loop = asyncio.get_running_loop()
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    while not http.started and not serving.done():
        await asyncio.sleep(0.01)
    if http.started:
        host, port = listener.getsockname()[:2]
        scheme = "https" if http.config.is_ssl else "http"
        announce(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
    await serving


def _ignore(url: str) -> None:
    log.info("serving at %s", url)
