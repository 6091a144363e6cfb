"""Tasks: declaring and inspecting them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, FailFast, Field

from serving.erasures import Report
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


_ERASURE = "01JD4Q8ZK3W9V7X5M2N6P0R1ST"


class ForgetExamples(RequestShape):
    """Which examples are to be forgotten."""

    model_config = ConfigDict(json_schema_extra=shown({"ids": ["row-17", "kZ4R…-3"]}))

    ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=160)]], FailFast()] = Field(
        description="their ids: your own, or `<batch>-<number>`, from 0, where you gave none; of "
        "feedback that was learnt, the predictions' ids"
    )


class ForgetBody(AnswerShape):
    """A task, a class or examples that are being forgotten."""

    model_config = ConfigDict(
        json_schema_extra=shown({"task": "mood", "status": "forgetting", "erasure": _ERASURE})
    )

    task: str
    status: str
    erasure: str = Field(description="id of the request; its report is at /v1/erasures/{erasure}")


class Range(AnswerShape):
    """Versions by their numbers, both ends included."""

    first: int
    last: int


class ErasureBody(AnswerShape):
    """What became of a request to forget. All null until it is carried out."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "erasure": _ERASURE,
                "status": "forgotten",
                "version": 57,
                "examples": 12,
                "classes": 1,
                "prompts_dropped": 1,
                "not_found": 0,
                "exact": True,
                "older_versions": [{"first": 10, "last": 56}],
                "deletable_from": "2026-01-31T13:00:00Z",
            }
        )
    )

    erasure: str
    status: Literal["forgetting", "forgotten"]
    version: int | None = Field(description="the version that is without it")
    examples: int | None = Field(description="examples that went, also from batches that waited")
    classes: int | None = Field(description="classes that went")
    prompts_dropped: int | None = Field(description="prompts that went, as they carried traces")
    not_found: int | None = Field(
        description="ids of which no example was kept any more when it was carried out"
    )
    exact: bool | None = Field(
        description="false: no examples are kept, and the spread that classes share stays"
    )
    older_versions: list[Range] = Field(description="kept versions that hold what they held")
    deletable_from: datetime | None = Field(description="when these may begin to be deleted")

    @staticmethod
    def of(report: Report) -> ErasureBody:
        """The report as an answer."""
        ranges = [Range(first=first, last=last) for first, last in report.older_versions]
        return ErasureBody.model_validate({**asdict(report), "older_versions": ranges})
