"""`POST /v1/classify`."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from serving.batcher import Answer
from serving.bodies import read_line_options, read_question
from serving.canary import CALLER
from serving.limits import check_name_length
from serving.line_stream import LineStream, result_members
from serving.media_types import media_type_sent
from serving.problems import documented
from serving.routes.common import PREDICT, ServiceDependency, admit, pay, unless_gone
from serving.schemas.classify import ClassifyAnswer, ClassifyOptions
from serving.schemas.forms import classify_openapi, line_answers
from serving.service import Service
from serving.settings import Limits

router = APIRouter(tags=["classify"])


@router.post(
    "/v1/classify",
    summary="Predict",
    response_model=ClassifyAnswer,
    dependencies=PREDICT,
    openapi_extra=classify_openapi(),
    responses={
        200: {"content": line_answers()},
        **documented(
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
            "rate-limited",
            "not-ready",
            "deadline-exceeded",
        ),
    },
)
async def classify(request: Request, service: ServiceDependency) -> Response:
    """Predictions for one input or several, all from one version.

    Texts or images in JSON, one image as the body itself, or image files in a form. As a stream of
    lines with an input each, any number: an answer a line, in their order, each with its version.
    """
    limits = service.settings.limits
    of_all_lines = read_line_options(request)
    if of_all_lines is not None:
        return await _stream(request, service, of_all_lines)
    question = await read_question(request, limits)
    pay(request, len(question.inputs))
    asked = question.options
    _check_task(asked, limits)
    work = service.classify(
        question.inputs,
        asked.task,
        asked.top_k,
        asked.version,
        asked.min_version,
        caller=request.headers.get(CALLER),
    )
    answer = await unless_gone(request, work)
    request.state.version = answer.version
    # Written out without the response model: this is the hot path.
    return Response(orjson.dumps(_members(answer)), media_type="application/json")


async def _stream(request: Request, service: Service, asked: ClassifyOptions) -> Response:
    """What would refuse every line refuses the request."""
    _check_task(asked, service.settings.limits)
    await service.answering(asked.task, asked.version, asked.min_version)
    return LineStream(
        service,
        asked,
        media_type_sent(request.headers),
        lambda: service.keyring.allowance(admit(request, "predict")),
        request.headers.get(CALLER),
    )


def _check_task(asked: ClassifyOptions, limits: Limits) -> None:
    if asked.task is not None:
        check_name_length(asked.task, limits, "#/task")


def _members(answer: Answer) -> dict[str, Any]:
    return {"version": answer.version, "results": [result_members(one) for one in answer.results]}
