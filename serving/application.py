"""The application on Ray Serve: `Classifier` replicas that answer, one `Learner` that publishes.

`build` is what a Serve config file or a KubeRay RayService names as `import_path`. The learner
nudges every replica through `broadcast`; the store is the truth, and replicas poll it as well.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.handle import DeploymentHandle

from backbones import load
from learner import spans
from learner.events import Event
from learner.matrix_threads import bound_blas
from learner.worker import Worker
from prompt_store import Store, open_backend
from serving.app import create_app
from serving.auth import is_loopback
from serving.cluster import cluster, wait_for_a_signal
from serving.measured_backend import MeasuredBackend
from serving.precision import load_engines, load_int8
from serving.ray_metrics import RayMetrics
from serving.service import Service
from serving.settings import Settings

log = logging.getLogger(__name__)

APPLICATION = "perennial"
ONGOING_REQUESTS = 256
"""Requests a replica works on at once; its own bounded queue of inputs decides about overload."""
QUEUED_REQUESTS = 1024
"""Requests that may wait in the proxy for a replica before Serve refuses."""
HEALTH_SECONDS = 5.0
BROADCAST_SECONDS = 2.0
"""How long a broadcast waits for its slowest replica before the next one is sent."""
READY_SECONDS = 20.0
"""How long the newest version may take to load before the replica counts as unhealthy."""
JOIN_SECONDS = 10.0


class Classifier:
    """One replica: the whole service behind Serve's proxy. Ready once it has the newest version."""

    async def __init__(  # type: ignore[misc]  # Serve awaits constructors
        self, settings: dict[str, Any], learner: DeploymentHandle
    ) -> None:
        bound_blas(1)
        self._settings = Settings(**settings)
        self._settings.logging().begin()
        spans.begin("perennial")
        self._learner = learner
        engines = await asyncio.to_thread(load_engines, self._settings)
        self._broadcaster = Broadcaster()
        metrics = RayMetrics()
        self._service = Service(
            Store.on(MeasuredBackend(open_backend(self._settings.store), metrics)),
            engines,
            self._settings,
            metrics,
            nudge=self._broadcaster.nudge,
            wake=self._wake,
            trusted_local=is_loopback(self._settings.host),
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._service)  # Serve runs its lifespan, which starts the service

    async def refresh(self, version: int) -> None:
        """Called on every replica when a version was published."""
        self._service.refresh(version)

    async def observe(self, event: str) -> None:
        """Called on every replica with the learner's progress, as JSON."""
        self._service.observe(Event.model_validate_json(event))

    async def check_health(self) -> None:
        """Serve sends requests only once this has returned: with the newest version loaded."""
        try:
            await asyncio.wait_for(self._service.watcher.until_ready(), READY_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(self._service.watcher.trouble or "no version is loaded") from error
        self._service.measure_pending()  # now and then, as a scrape does in the local engine

    def _wake(self) -> None:
        self._learner.wake.remote()


class Learner:
    """The one replica that learns. A successor's fence makes an overlap harmless."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = Settings(**settings)
        self._settings.logging().begin()
        spans.begin("perennial-learner")
        self._broadcaster = Broadcaster()
        self._error: BaseException | None = None
        learner, images = self._settings.learner, self._settings.image_options()
        judged_with = partial(load_int8, self._settings.backbone, learner.threads, images)
        self._worker = Worker(
            Store.open(self._settings.store),
            lambda: load(
                self._settings.backbone,
                threads=learner.threads,
                **images,
            ),
            learner,
            writer=serve.get_replica_context().replica_id.unique_id,
            emit=self._emit,
            load_int8=judged_with if self._settings.precision == "int8" else None,
            retention=self._settings.retention,
        )
        self._thread = threading.Thread(target=self._work, name="learner", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """A batch was accepted somewhere."""
        self._worker.wake()

    def check_health(self) -> None:
        """Raises when learning has ended with an error, so that Serve starts a successor."""
        if self._error is not None:
            raise RuntimeError("the learner has stopped") from self._error

    def __del__(self) -> None:
        self._worker.stop()
        self._thread.join(JOIN_SECONDS)

    def _work(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:
            self._error = error
            self._emit(Event(kind="failed", message=f"it has stopped: {error}"))
            raise

    def _emit(self, event: Event) -> None:
        self._broadcaster.observe(event)
        if event.version is not None:
            self._broadcaster.nudge(event.version)


class Broadcaster:
    """Tells all `Classifier` replicas of this application something, without waiting for them.

    A message that does not arrive costs nothing but time: replicas poll the store.
    """

    def __init__(self) -> None:
        self._application = serve.get_replica_context().app_name
        self._handle: DeploymentHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="broadcast")

    def nudge(self, version: int) -> None:
        """A version was published."""
        self._thread.submit(self._send, "refresh", version)

    def observe(self, event: Event) -> None:
        """The learner has something to tell."""
        self._thread.submit(self._send, "observe", event.model_dump_json())

    def _send(self, method: str, argument: int | str) -> None:
        try:
            if self._handle is None:
                self._handle = serve.get_deployment_handle("Classifier", self._application)
            # Sends only when asked for results: without this nothing would leave the process.
            self._handle.broadcast(method, argument).results(timeout_s=BROADCAST_SECONDS)
        except Exception:  # noqa: BLE001  a hint that fails must not stop its giver
            log.warning("could not broadcast %s; replicas will see it when they poll", method)


CLASSIFIER = serve.deployment(
    name="Classifier",
    max_ongoing_requests=ONGOING_REQUESTS,
    max_queued_requests=QUEUED_REQUESTS,
    health_check_period_s=HEALTH_SECONDS,
)(serve.ingress()(Classifier))
LEARNER = serve.deployment(name="Learner", num_replicas=1, health_check_period_s=HEALTH_SECONDS)(
    Learner
)


DEPLOYMENTS = (CLASSIFIER, LEARNER)


def build(args: dict[str, Any]) -> serve.Application:
    """The application for a Serve config file; `args` are the settings. Raises ValidationError."""
    settings = Settings(**{"engine": "ray", **args})
    plain = settings.model_dump(mode="json", exclude={"config"})
    classifier, learner = (one.options(logging_config=_logging(settings)) for one in DEPLOYMENTS)
    if "replicas" in args:  # else the config file's own num_replicas or autoscaling decides
        classifier = classifier.options(num_replicas=settings.replicas)
    return classifier.bind(plain, learner.bind(plain))


def _logging(settings: Settings) -> dict[str, Any]:
    """Of Serve's own lines. Its access log would tell paths; `RequestRecord` writes one."""
    encoding = "TEXT" if settings.log_format == "text" else "JSON"
    return {
        "encoding": encoding,
        "log_level": settings.log_level.upper(),
        "enable_access_log": False,
    }


def run(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Serve on a Ray cluster until interrupted: the one at RAY_ADDRESS, else one of its own.

    `announce` gets the base URL once requests are answered.
    """
    log.info("starting Ray; this takes about 30 seconds")
    with cluster(settings.replicas + 2):
        serve.start(http_options=HTTPOptions(host=settings.host, port=settings.port))
        serve.run(build(settings.model_dump(mode="json")), name=APPLICATION, route_prefix="/")
        if announce is not None:
            announce(f"http://{settings.host}:{settings.port}")
        wait_for_a_signal()
