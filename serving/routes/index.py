"""`GET /`. Open to anybody: where to read on."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter

from serving.schemas.server import IndexBody

router = APIRouter(tags=["server"])

LINKS = {
    "docs": "/docs",
    "openapi": "/openapi.json",
    "info": "/v1/info",
    "ready": "/health/ready",
    "metrics": "/metrics",
}


@router.get("/", summary="Where to read on")
async def get_index() -> IndexBody:
    """What this is, and the addresses of what describes it."""
    return IndexBody(name="perennial", release=version("perennial"), links=LINKS)
