"""`GET /v1/batches/{batch}`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path

from serving.problems import documented
from serving.routes.common import PREDICT, ServiceDependency
from serving.schemas.batches import BatchBody

router = APIRouter(tags=["learn"])

BatchId = Annotated[str, Path(description="id of a batch", examples=["01JD4Q8ZK3W9V7X5M2N6P0R1ST"])]


@router.get(
    "/v1/batches/{batch}",
    summary="Follow a batch",
    dependencies=PREDICT,
    responses=documented("unknown-batch", "invalid-content"),
)
async def get_batch(batch: BatchId, service: ServiceDependency) -> BatchBody:
    """Where a batch stands: queued, refreshed, training, evaluating, published or failed."""
    return BatchBody(**asdict(await service.off_loop(service.learning.progress, batch)))
