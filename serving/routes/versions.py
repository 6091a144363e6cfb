"""`/v1/versions`, `/v1/versions/{version}` and its promotion."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from serving.problems import documented
from serving.routes.common import ADMIN, PREDICT, ServiceDependency
from serving.schemas.shape import LARGEST_INTEGER
from serving.schemas.versions import VersionBody, VersionsBody

router = APIRouter(tags=["versions"])

Version = Annotated[
    int, Path(ge=1, le=LARGEST_INTEGER, description="number of a version", examples=[42])
]
Limit = Annotated[int, Query(ge=1, le=100, description="versions of one page, at most")]
Before = Annotated[
    int | None,
    Query(
        ge=1, le=LARGEST_INTEGER, description="only versions with a smaller number", examples=[23]
    ),
]


@router.get(
    "/v1/versions",
    summary="List versions",
    dependencies=PREDICT,
    responses=documented("invalid-content"),
)
async def list_versions(
    service: ServiceDependency, limit: Limit = 20, before: Before = None
) -> VersionsBody:
    """The history, newest first."""
    page = await service.off_loop(service.history.page, limit, before)
    pinned = await service.off_loop(service.history.pinned)
    versions = [VersionBody.of(one, one.version == page.live, pinned) for one in page.versions]
    return VersionsBody(live=page.live, versions=versions, before=page.before)


@router.get(
    "/v1/versions/{version}",
    summary="Inspect a version",
    dependencies=PREDICT,
    responses=documented("unknown-version", "invalid-content"),
)
async def get_version(version: Version, service: ServiceDependency) -> VersionBody:
    """One version with its provenance and the report of its gate."""
    pinned = await service.off_loop(service.history.pinned)
    return VersionBody.of(*await service.off_loop(service.history.get, version), pinned)


@router.post(
    "/v1/versions/{version}/promote",
    summary="Make a version live again",
    dependencies=ADMIN,
    responses=documented(
        "unknown-version", "not-promotable", "version-not-loadable", "invalid-content"
    ),
)
async def promote_version(version: Version, service: ServiceDependency) -> VersionBody:
    """Rolls back or promotes: the content goes live under a new number, which is in the answer.

    This replica serves it when it answers; `min_version` makes others wait for it.
    """
    pinned = await service.off_loop(service.history.pinned)
    return VersionBody.of(await service.promote(version), True, pinned)


@router.put(
    "/v1/versions/{version}/pin",
    summary="Pin a version",
    dependencies=ADMIN,
    responses=documented("unknown-version", "not-promotable", "invalid-content"),
)
async def pin_version(version: Version, service: ServiceDependency) -> VersionBody:
    """Keeps a version however many newer ones there are. Durable when it answers, and repeatable.

    Only forgetting ends that: a version that holds what was forgotten goes all the same.
    """
    return VersionBody.of(*await service.off_loop(service.history.pin, version), {version})


@router.delete(
    "/v1/versions/{version}/pin",
    summary="Unpin a version",
    dependencies=ADMIN,
    responses=documented("unknown-version", "invalid-content"),
)
async def unpin_version(version: Version, service: ServiceDependency) -> VersionBody:
    """The version may go when its turn comes. Durable when it answers, and repeatable."""
    return VersionBody.of(*await service.off_loop(service.history.unpin, version), ())
