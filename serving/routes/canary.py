"""`/v1/canary`."""

from __future__ import annotations

from fastapi import APIRouter

from serving.problems import documented
from serving.routes.common import ADMIN, JSON_ONLY, PREDICT, ServiceDependency
from serving.schemas.canary import CanaryBody, CanaryRequest
from serving.service import Service

router = APIRouter(tags=["versions"])

BY_A_CALLER = "a caller ended it"


@router.put(
    "/v1/canary",
    summary="Try a version on a share of the requests",
    dependencies=[*ADMIN, JSON_ONLY],
    responses=documented(
        "malformed-request",
        "unknown-version",
        "no-classes",
        "version-not-loadable",
        "not-promotable",
        "unsupported-media-type",
        "invalid-content",
    ),
)
async def put_canary(body: CanaryRequest, service: ServiceDependency) -> CanaryBody:
    """Starts a canary, or changes it: figures begin anew. Said again, it changes nothing.

    A share of the unpinned requests gets this version, the same for each `X-Perennial-Caller`.
    Replicas end it by themselves where they see harm; so do promotions, rollbacks and forgetting.
    """
    await service.start_canary(body.to_canary())
    return await _canary(service)


@router.get("/v1/canary", summary="Watch a canary", dependencies=PREDICT)
async def get_canary(service: ServiceDependency) -> CanaryBody:
    """What is under way, how it does here beside live, and how the last one ended."""
    return await _canary(service)


@router.delete("/v1/canary", summary="End a canary", dependencies=ADMIN)
async def delete_canary(service: ServiceDependency) -> CanaryBody:
    """Live answers all requests again. Where no canary is under way, nothing changes."""
    await service.end_canary(BY_A_CALLER)
    return await _canary(service)


async def _canary(service: Service) -> CanaryBody:
    entry, end = await service.off_loop(service.history.canary)
    return CanaryBody.of(entry, end, service.split.run)
