"""`GET /v1/info` and `GET /metrics`."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response

from serving.bodies import FORM, JSON
from serving.media_types import LINES, MEDIA_TYPES
from serving.metrics import PrometheusMetrics
from serving.problems import Problem, documented
from serving.routes.common import PREDICT, ServiceDependency
from serving.schemas.server import BackboneBody, InfoBody
from serving.service import Service

router = APIRouter(tags=["server"])

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/v1/info", summary="What this server is", dependencies=PREDICT)
async def get_info(service: ServiceDependency) -> InfoBody:
    """Backbone, limits, what is loaded, and what does not work as it should."""
    return _info(service, await service.off_loop(service.learning.pending))


def _info(service: Service, pending: int) -> InfoBody:
    snapshot = service.watcher.snapshot
    choice = service.engines.choose(snapshot.manifest if snapshot else None)
    return InfoBody(
        name="perennial",
        release=version("perennial"),
        engine=service.settings.engine,
        runtime=service.backbone.runtime,
        device=str(service.backbone.device),
        runtime_reason=service.engines.reason,
        runtime_milliseconds=dict(service.engines.milliseconds),
        precision=choice.precision,
        precision_reason=choice.reason,
        backbone=BackboneBody.model_validate(service.backbone.description, from_attributes=True),
        method=service.settings.learner.method,
        ready=service.ready,
        version=snapshot.version if snapshot else None,
        tasks=len(snapshot.tasks) if snapshot else 0,
        domains=[domain.name for domain in snapshot.content.domains] if snapshot else [],
        routed=snapshot is not None and snapshot.content.router is not None,
        classes=len(snapshot.content.labels) if snapshot else 0,
        pinned=service.pins.versions,
        waiting_inputs=service.batcher.waiting,
        pending_batches=pending,
        keys=service.keyring.access.demands_keys,
        media_types=_media_types(service),
        limits=service.settings.limits,
        trouble=service.trouble(),
    )


def _media_types(service: Service) -> list[str]:
    images = service.backbone.description.modality == "vision"
    return [JSON, *LINES, *MEDIA_TYPES, FORM] if images else [JSON, *LINES]


@router.get(
    "/metrics",
    summary="Measurements",
    dependencies=PREDICT,
    response_class=Response,
    responses={
        200: {
            "description": "In Prometheus' text format",
            "content": {"text/plain": {"example": "perennial_version 42.0\n"}},
        },
        **documented("not-found"),
    },
)
async def get_metrics(service: ServiceDependency) -> Response:
    """What was measured so far. Only with the local engine: Ray exports its own."""
    if not isinstance(service.metrics, PrometheusMetrics):
        raise Problem(
            "not-found",
            "with Ray, each node's metrics agent exports the measurements, with `ray_` in front "
            "of their names; see docs/serving.md",
        )
    await service.off_loop(service.learning.pending)
    return Response(service.metrics.exposition(), media_type=_EXPOSITION)
