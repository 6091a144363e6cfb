"""Tasks: declaring and inspecting them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, FailFast, Field

from serving.names import Name
from serving.schemas.shape import AnswerShape, RequestShape, shown

_MAIL = {
    "task": "mail",
    "labels": ["delivery", "refund"],
    "declared_labels": ["delivery", "refund", "praise"],
    "examples": 48,
    "own_prompt": False,
    "domain": "mail",
    "prompt": "domain",
    "version": 42,
}


class Declare(RequestShape):
    """Which labels a task is meant to have."""

    model_config = ConfigDict(
        json_schema_extra=shown({"labels": ["delivery", "refund", "praise"]}, {})
    )

    labels: Annotated[list[Name], FailFast()] = Field(
        [], description="all labels the task may have; none: any label is accepted"
    )


class TaskBody(AnswerShape):
    """What is known of a task."""

    model_config = ConfigDict(json_schema_extra=shown(_MAIL))

    task: str
    labels: list[str] = Field(description="labels that can be predicted now")
    declared_labels: list[str] | None = Field(
        description="labels the task may have, [] for any; null where it was not declared"
    )
    examples: int = Field(description="examples it was taught with, in the live version")
    own_prompt: bool = Field(description="whether it has a prompt of its own")
    domain: str | None = Field(
        description="the tasks it shares a prompt and a head with, by the name of the first"
    )
    prompt: Literal["none", "domain", "own"] = Field(
        description="whose prompt its inputs are seen under: nobody's, its domain's, or its own"
    )
    version: int | None = Field(
        description="the live version, null where it does not know the task"
    )


class TasksBody(AnswerShape):
    """All tasks, by name."""

    model_config = ConfigDict(json_schema_extra=shown({"tasks": [_MAIL]}))

    tasks: list[TaskBody]


class ForgetBody(AnswerShape):
    """A task that is being forgotten."""

    model_config = ConfigDict(json_schema_extra=shown({"task": "mail", "status": "forgetting"}))

    task: str
    status: str
