"""`/health/live` and `/health/ready`. Open to anybody: they tell nothing but yes or no."""

from __future__ import annotations

from fastapi import APIRouter

from serving.problems import Problem, documented
from serving.routes.common import ServiceDependency
from serving.schemas.server import HealthBody

router = APIRouter(tags=["server"])


@router.get("/health/live", summary="Liveness")
async def live() -> HealthBody:
    """The process answers. Where this fails, restart it."""
    return HealthBody(status="live")


@router.get("/health/ready", summary="Readiness", responses=documented("not-ready"))
async def ready(service: ServiceDependency) -> HealthBody:
    """The newest live version is loaded. Where this fails, send requests elsewhere."""
    if not service.ready:
        leaving = service.ending.began
        why = "the server is stopping" if leaving else "the newest version is not loaded yet"
        raise Problem("not-ready", why, retry_after=1)
    return HealthBody(status="ready")
