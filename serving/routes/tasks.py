"""`/v1/tasks`, `/v1/tasks/{task}`, and forgetting: what of a task, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from serving.erasures import report_on
from serving.names import Name
from serving.problems import documented
from serving.routes.common import ADMIN, JSON_ONLY, LEARN, PREDICT, ServiceDependency, TaskName
from serving.schemas.tasks import (
    Declare,
    ErasureBody,
    ForgetBody,
    ForgetExamples,
    TaskBody,
    TasksBody,
)

router = APIRouter(tags=["tasks"])

LabelName = Annotated[Name, Path(description="name of a class of the task", examples=["refund"])]
ErasureId = Annotated[
    str, Path(description="id of a request to forget", examples=["01JD4Q8ZK3W9V7X5M2N6P0R1ST"])
]


@router.get("/v1/tasks", summary="List tasks", dependencies=PREDICT)
async def list_tasks(service: ServiceDependency) -> TasksBody:
    """Every task that is taught or declared, by name."""
    states = await service.off_loop(service.learning.tasks)
    return TasksBody(tasks=[TaskBody(**asdict(state)) for state in states])


@router.get(
    "/v1/tasks/{task}",
    summary="Inspect a task",
    dependencies=PREDICT,
    responses=documented("unknown-task", "invalid-content"),
)
async def get_task(task: TaskName, service: ServiceDependency) -> TaskBody:
    """What is known of one task."""
    return TaskBody(**asdict(await service.off_loop(service.learning.task, task)))


@router.put(
    "/v1/tasks/{task}",
    summary="Declare a task",
    dependencies=[*LEARN, JSON_ONLY],
    responses=documented("malformed-request", "unsupported-media-type", "invalid-content"),
)
async def declare_task(task: TaskName, body: Declare, service: ServiceDependency) -> TaskBody:
    """Says which labels a task may have. Optional: examples alone make a task too.

    Durable when it answers, and repeatable. Afterwards examples with other labels are refused.
    """
    labels = tuple(dict.fromkeys(body.labels))
    return TaskBody(**asdict(await service.off_loop(service.learning.declare, task, labels)))


FORGETTING: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "Noted, and durable",
        "headers": {
            "Location": {
                "description": "where its report will be",
                "schema": {"type": "string"},
            }
        },
    }
}


@router.delete(
    "/v1/tasks/{task}",
    summary="Forget a task",
    status_code=202,
    dependencies=ADMIN,
    responses={**FORGETTING, **documented("unknown-task", "invalid-content")},
)
async def forget_task(task: TaskName, response: Response, service: ServiceDependency) -> ForgetBody:
    """Forgets a task: its declaration at once, what was taught with the next version.

    Durable when it answers. Batches of the task that are under way end as `failed`.
    """
    return _forgetting(task, await service.forget(service.learning.forget, task), response)


@router.delete(
    "/v1/tasks/{task}/labels/{label}",
    summary="Forget a class",
    status_code=202,
    dependencies=ADMIN,
    responses={**FORGETTING, **documented("unknown-task", "unknown-label", "invalid-content")},
)
async def forget_label(
    task: TaskName, label: LabelName, response: Response, service: ServiceDependency
) -> ForgetBody:
    """Forgets one class of a task, as `DELETE /v1/tasks/{task}` forgets all of them."""
    erasure = await service.forget(service.learning.forget_label, task, label)
    return _forgetting(task, erasure, response)


@router.post(
    "/v1/tasks/{task}/examples/forget",
    summary="Forget examples",
    status_code=202,
    dependencies=[*ADMIN, JSON_ONLY],
    responses={
        **FORGETTING,
        **documented(
            "malformed-request",
            "unknown-task",
            "unknown-example",
            "unsupported-media-type",
            "invalid-content",
        ),
    },
)
async def forget_examples(
    task: TaskName, body: ForgetExamples, response: Response, service: ServiceDependency
) -> ForgetBody:
    """Forgets examples by their ids, all or none: an id that is not known refuses the request.

    Durable when it answers. Batches that wait are learnt without them.
    """
    ids = tuple(dict.fromkeys(body.ids))
    erasure = await service.forget(service.learning.forget_examples, task, ids)
    return _forgetting(task, erasure, response)


@router.get(
    "/v1/erasures/{erasure}",
    summary="Report on what was forgotten",
    dependencies=PREDICT,
    responses=documented("unknown-erasure", "invalid-content"),
)
async def get_erasure(erasure: ErasureId, service: ServiceDependency) -> ErasureBody:
    """What a request to forget came to, in numbers: nothing names what was forgotten any more."""
    grace = service.settings.retention.grace_seconds
    return ErasureBody.of(await service.off_loop(report_on, service.store, erasure, grace))


def _forgetting(task: str, erasure: str, response: Response) -> ForgetBody:
    response.headers["Location"] = f"/v1/erasures/{erasure}"
    return ForgetBody(task=task, status="forgetting", erasure=erasure)
