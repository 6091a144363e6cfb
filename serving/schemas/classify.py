"""Asking for predictions."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from serving.names import Name
from serving.schemas.inputs import Inputs, OneLine
from serving.schemas.shape import (
    LARGEST_INTEGER,
    MESSAGE,
    AnswerShape,
    ProblemDetails,
    RequestShape,
    shown,
)


class ClassifyOptions(RequestShape):
    """What to say about inputs."""

    task: Name | None = Field(
        None, description="choose among this task's classes only; without it, among all"
    )
    top_k: int = Field(5, ge=1, le=100, description="predictions for each input, at most")
    version: int | None = Field(
        None, ge=1, le=LARGEST_INTEGER, description="answer with this version"
    )
    min_version: int | None = Field(
        None,
        ge=1,
        le=LARGEST_INTEGER,
        description="answer with this version or a later one, or not at all (409)",
    )


class ClassifyRequest(ClassifyOptions):
    """Inputs, and what to say about them."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {"inputs": [MESSAGE, {"text": "Is it waterproof?"}], "task": "mail", "top_k": 3},
            {"inputs": MESSAGE},
        )
    )

    inputs: Inputs = Field(description="one input or a list of them")


class LineRequest(RequestShape):
    """One line of a stream, put as the request that would ask the same."""

    inputs: tuple[OneLine]


class PredictionBody(AnswerShape):
    """One class. The scores of all classes in question sum to one."""

    task: str
    label: str
    score: float = Field(ge=0, le=1, description="calibrated probability")


class ResultBody(AnswerShape):
    """The answer to one input."""

    id: str = Field(description="name of this answer, for telling the true label later")
    novelty: float | None = Field(
        description="0: like what was learnt … 1: unlike all of it; null where it is not known"
    )
    predictions: list[PredictionBody] = Field(description="best first")


class ClassifyAnswer(AnswerShape):
    """One result for each input, in order, all from one version."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "version": 42,
                "results": [
                    {
                        "id": "AAAAKgAAAAEn2pQm4VwXoT0cB7o5u1Zr",
                        "novelty": 0.03,
                        "predictions": [
                            {"task": "mail", "label": "refund", "score": 0.97},
                            {"task": "mail", "label": "delivery", "score": 0.02},
                        ],
                    }
                ],
            }
        )
    )

    version: int
    results: list[ResultBody]


class AnswerLine(AnswerShape):
    """The answer to one line of a stream: a result and its version, or an error."""

    id: str | None = Field(None, description="the line's own, otherwise a new name of this answer")
    prediction_id: str | None = Field(
        None, description="name of this answer, where `id` is the line's own"
    )
    line: int | None = Field(
        None, description="of an error: the line, counted from 1; null where the stream ended"
    )
    version: int | None = None
    novelty: float | None = None
    predictions: list[PredictionBody] = Field([], description="best first")
    error: ProblemDetails | None = Field(
        None, description="the refusal a request with this input alone would get"
    )
