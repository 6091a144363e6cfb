"""What schemathesis has to be told of this API: streams of lines, events, and where options go."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis import (
    Case,
    CheckContext,
    DeserializationContext,
    HookContext,
    Response,
    SerializationContext,
)
from schemathesis.generation import GenerationMode

from learner.events import Event
from serving.media_types import LINES
from serving.routes.events import MEDIA_TYPE
from serving.schemas.classify import AnswerLine
from serving.schemas.shape import ProblemDetails


@schemathesis.serializer(*LINES)
def as_lines(_: SerializationContext, value: Any) -> bytes:
    """What was generated, as it is, as a text, and as an input: most often one wrong, two right."""
    if isinstance(value, bytes):
        return value
    lines = [value if isinstance(value, str) else json.dumps(value), json.dumps(value)]
    return "\n".join([*lines, json.dumps({"text": value})]).encode(errors="surrogatepass")


@schemathesis.deserializer(*LINES, MEDIA_TYPE)
def as_text(_: DeserializationContext, response: Response) -> str:
    """The schema of a stream is a string; the checks below look into it."""
    return response.content.decode()


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    """With a JSON body options go into it: in the query they would only ever be refused."""
    valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if valid and case.path == "/v1/classify" and case.media_type == "application/json":
        case.query = {}


@schemathesis.hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """A body of lines is a text: what is none cannot be sent as one, and a bad line is answered."""
    return case.media_type not in LINES or isinstance(case.body, (str, bytes))


@schemathesis.check
def lines_have_their_shape(_: CheckContext, response: Response, __: Case[Any]) -> None:
    """Each line of an answer is one, and a refusal inside it is a problem."""
    if response.status_code == 200 and _media_type(response) in LINES:
        for line in response.content.splitlines():
            AnswerLine.model_validate_json(line)
            if error := json.loads(line).get("error"):
                ProblemDetails.model_validate(error)


@schemathesis.check
def events_have_their_shape(_: CheckContext, response: Response, __: Case[Any]) -> None:
    """An event stream is made of comments, the time to wait, and events."""
    if response.status_code == 200 and _media_type(response) == MEDIA_TYPE:
        for block in filter(None, response.content.decode().split("\n\n")):
            if not block.startswith((":", "retry: ")):
                name, kind, data = block.split("\n")
                event = Event.model_validate_json(data.removeprefix("data: "))
                assert name.startswith("id: ")
                assert kind == f"event: {event.kind}"


@schemathesis.check
def refusals_are_problems(_: CheckContext, response: Response, __: Case[Any]) -> None:
    """Whatever is refused is a problem of its own status, and every answer names its request."""
    assert response.headers.get("x-request-id")
    if response.status_code >= 400:
        problem = ProblemDetails.model_validate_json(response.content)
        assert problem.status == response.status_code


def _media_type(response: Response) -> str:
    return (response.headers.get("content-type") or [""])[0].partition(";")[0]
