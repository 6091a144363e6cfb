"""`POST /v1/classify`."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from serving.batcher import Answer
from serving.bodies import read_question
from serving.forward import Result
from serving.limits import check_name_length
from serving.problems import documented
from serving.routes.common import PREDICT, ServiceDependency, unless_gone
from serving.schemas.classify import ClassifyAnswer
from serving.schemas.forms import classify_openapi

router = APIRouter(tags=["classify"])


@router.post(
    "/v1/classify",
    summary="Predict",
    response_model=ClassifyAnswer,
    dependencies=PREDICT,
    openapi_extra=classify_openapi(),
    responses=documented(
        "malformed-request",
        "unknown-task",
        "unknown-version",
        "no-classes",
        "version-not-loaded",
        "version-not-loadable",
        "body-too-large",
        "unsupported-media-type",
        "unsupported-input",
        "invalid-content",
        "overloaded",
        "not-ready",
        "deadline-exceeded",
    ),
)
async def classify(request: Request, service: ServiceDependency) -> Response:
    """Predictions for one input or several, all from one version.

    Texts or images in JSON, one image as the body itself, or image files in a form.
    """
    limits = service.settings.limits
    question = await read_question(request, limits)
    asked = question.options
    if asked.task is not None:
        check_name_length(asked.task, limits, "#/task")
    work = service.classify(
        question.inputs, asked.task, asked.top_k, asked.version, asked.min_version
    )
    answer = await unless_gone(request, work)
    # Written out without the response model: this is the hot path.
    return Response(orjson.dumps(_members(answer)), media_type="application/json")


def _members(answer: Answer) -> dict[str, Any]:
    return {"version": answer.version, "results": [_result(one) for one in answer.results]}


def _result(one: Result) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "novelty": one.novelty,
        "predictions": [prediction._asdict() for prediction in one.predictions],
    }
