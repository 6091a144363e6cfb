"""`POST /v1/tasks/{task}/examples`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from serving.problems import documented
from serving.routes.common import JSON_ONLY, LEARN, ServiceDependency, TaskName
from serving.schemas.batches import BatchBody, ExamplesRequest
from serving.submission import Submission

router = APIRouter(tags=["learn"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="a request with the same key and body is the same request: it is learnt once",
        examples=["5f0c2a34-1d3e-4a0e-9a57-0c6f6f2d8b11"],
    ),
]


@router.post(
    "/v1/tasks/{task}/examples",
    summary="Teach",
    status_code=202,
    dependencies=[*LEARN, JSON_ONLY],
    responses={
        202: {
            "description": "Accepted, and durable",
            "headers": {
                "Location": {
                    "description": "where the batch can be followed",
                    "schema": {"type": "string"},
                }
            },
        },
        **documented(
            "malformed-request",
            "body-too-large",
            "unsupported-media-type",
            "unsupported-input",
            "invalid-content",
            "idempotency-key-reused",
        ),
    },
)
async def post_examples(
    task: TaskName,
    body: ExamplesRequest,
    request: Request,
    response: Response,
    service: ServiceDependency,
    idempotency_key: IdempotencyKey = None,
) -> BatchBody:
    """Accepts a labelled batch. After 202 it is never lost."""
    examples = tuple(one.to_labelled() for one in body.examples)
    submission = Submission(task, examples, request.state.caller, idempotency_key)
    progress = await service.accept(submission)
    response.headers["Location"] = f"/v1/batches/{progress.batch}"
    known = {**asdict(progress), "examples": len(examples)}
    return BatchBody(**known)
