"""`POST /v1/tasks/{task}/examples`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from serving.bodies import read_examples
from serving.problems import documented
from serving.routes.common import LEARN, ServiceDependency, TaskName, pay
from serving.schemas.batches import BatchBody
from serving.schemas.forms import examples_openapi
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
    dependencies=LEARN,
    openapi_extra=examples_openapi(),
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
            "overloaded",
            "rate-limited",
        ),
    },
)
async def post_examples(
    task: TaskName,
    request: Request,
    response: Response,
    service: ServiceDependency,
    idempotency_key: IdempotencyKey = None,
) -> BatchBody:
    """Accepts a labelled batch: JSON, or a form with image files and their labels.

    After 202 it is never lost. An image that cannot be read is refused here.
    """
    examples = await read_examples(request, service.settings.limits)
    pay(request, len(examples))
    submission = Submission(task, examples, request.state.caller, idempotency_key)
    progress = await service.accept(submission)
    request.state.batch = progress.batch
    response.headers["Location"] = f"/v1/batches/{progress.batch}"
    known = {**asdict(progress), "examples": len(examples)}
    return BatchBody(**known)
