"""`/v1/tasks` and `/v1/tasks/{task}`."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from serving.problems import documented
from serving.routes.common import ADMIN, JSON_ONLY, LEARN, PREDICT, ServiceDependency, TaskName
from serving.schemas.tasks import Declare, ForgetBody, TaskBody, TasksBody

router = APIRouter(tags=["tasks"])


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


@router.delete(
    "/v1/tasks/{task}",
    summary="Forget a task",
    status_code=202,
    dependencies=ADMIN,
    responses=documented("unknown-task", "invalid-content"),
)
async def forget_task(task: TaskName, service: ServiceDependency) -> ForgetBody:
    """Forgets a task: its declaration at once, what was taught with the next version.

    Durable when it answers. Batches of the task that are under way end as `failed`.
    """
    await service.forget(task)
    return ForgetBody(task=task, status="forgetting")
