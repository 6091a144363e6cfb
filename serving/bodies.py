"""The forms a request may have: JSON, the bytes of one image, a form with image files, lines.

Whatever the form, errors point into the JSON that would say the same: `#/inputs/2` is the third
file, and `#/inputs/0` what stands in a line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from backbones import Input
from serving.images import check_declared
from serving.limits import check_count, check_image_bytes
from serving.media_types import ACCEPTED, LINES, known_media_type, media_type_sent
from serving.multipart import FilePart, Form, FormLimits, read_form
from serving.problems import Problem, invalid, problem_with
from serving.schemas.batches import ExamplesRequest, FormLabels
from serving.schemas.classify import ClassifyOptions, ClassifyRequest, LineRequest
from serving.schemas.inputs import LineBody
from serving.settings import Limits
from serving.submission import Labelled

S = TypeVar("S", bound=BaseModel)

JSON = "application/json"
FORM = "multipart/form-data"
_BYTES = "application/octet-stream"
_OPTIONS = tuple(ClassifyOptions.model_fields)
_LABELS_EACH = 2  # a label and an id for each file


@dataclass(frozen=True)
class Question:
    """What is asked of which inputs."""

    inputs: tuple[Input, ...]
    options: ClassifyOptions


async def read_question(request: Request, limits: Limits) -> Question:
    """The body of a classify request. Raises Problem, RequestValidationError."""
    media_type = media_type_sent(request.headers)
    if _is_json(media_type):
        _no_options_beside_json(request)
        body = await _json(request, ClassifyRequest, "inputs", limits.inputs)
        return Question(tuple(one.to_input() for one in body.inputs), body)
    if media_type == FORM:
        form = await _form(request, limits, limits.inputs, len(_OPTIONS), "inputs")
        options = _options(request, form.fields)
        return Question(_images(form, "#/inputs/{}"), options)
    if known_media_type(media_type):
        options = _options(request, ())
        data = await _one_image(request, limits)
        check_declared(data, known_media_type(media_type), "#/inputs/0")
        return Question((Input(image=data),), options)
    raise _unsupported(
        media_type,
        f"{JSON}, {ACCEPTED} (one image), {FORM} (image files), or {LINES[0]} (an input a line)",
    )


def read_line_options(request: Request) -> ClassifyOptions | None:
    """What is asked of all lines of a stream; None where the body is none.

    Raises Problem, RequestValidationError.
    """
    return _options(request, ()) if media_type_sent(request.headers) in LINES else None


def read_line(raw: bytes) -> LineBody:
    """What stands in a line of a stream. Raises Problem."""
    try:
        return _validated(LineRequest, {"inputs": [_parsed(raw)]}).inputs[0]
    except RequestValidationError as error:
        raise problem_with(error) from error


async def read_examples(request: Request, limits: Limits) -> tuple[Labelled, ...]:
    """The body of a batch of examples. Raises Problem, RequestValidationError."""
    media_type = media_type_sent(request.headers)
    if _is_json(media_type):
        body = await _json(request, ExamplesRequest, "examples", limits.examples)
        return tuple(one.to_labelled() for one in body.examples)
    if media_type == FORM:
        most = limits.examples
        form = await _form(request, limits, most, most * _LABELS_EACH, "examples")
        labels = _labels(form)
        images = _images(form, "#/examples/{}/input")
        return tuple(
            Labelled(image, one.label, one.id)
            for image, one in zip(images, labels.examples, strict=True)
        )
    raise _unsupported(media_type, f"{JSON}, or {FORM} (image files and their labels)")


def _is_json(media_type: str) -> bool:
    return media_type == JSON or media_type.endswith("+json")


def _unsupported(media_type: str, accepted: str) -> Problem:
    return Problem(
        "unsupported-media-type",
        f"the body is {media_type or 'of no type'}; send Content-Type: {accepted}",
    )


# JSON


async def _json(request: Request, shape: type[S], member: str, most: int) -> S:
    """most: entries of the body's `member`, counted before each is looked at: millions fit in."""
    raw = b"".join([chunk async for chunk in _stream(request)])
    if not raw:
        missing = {"type": "missing", "loc": ("body",), "msg": "Field required"}
        raise RequestValidationError([missing])
    value = _parsed(raw)
    given = value.get(member) if isinstance(value, dict) else None
    if isinstance(given, list):
        check_count(given, most, member)
    return _validated(shape, value)


def _parsed(raw: bytes) -> Any:
    """Raises Problem, RequestValidationError."""
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        broken = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error"}
        raise RequestValidationError([{**broken, "ctx": {"error": error.msg}}]) from error
    except (ValueError, RecursionError) as error:
        raise Problem("malformed-request", f"this is not JSON: {error}") from error


def _validated(shape: type[S], value: Any, parameters: Iterable[str] = ()) -> S:
    """parameters: members that came with the query, where errors are to point."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        query = set(parameters)
        raise RequestValidationError(
            [
                {**one, "loc": ("query" if query & {*one["loc"][:1]} else "body", *one["loc"])}
                for one in found
            ]
        ) from error


async def _stream(request: Request) -> Any:
    """The body's chunks. Raises Problem client-closed-request."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise Problem("client-closed-request", "the client went away in mid-body") from error


# Options


def _no_options_beside_json(request: Request) -> None:
    for name in request.query_params:
        if name in _OPTIONS:
            raise _parameter(name, "with a JSON body this is a member of it, not of the query")


def _options(request: Request, fields: Iterable[tuple[str, str]]) -> ClassifyOptions:
    """Out of the query and the form's fields. Each may be given once."""
    query = request.query_params.multi_items()
    given = [*query, *fields]
    for name, times in Counter(name for name, _ in given).items():
        if times > 1:
            raise _parameter(name, f"given {times} times; give it once")
    values: Mapping[str, str] = dict(given)
    if "file" in values:
        raise _file_without_name()
    return _validated(ClassifyOptions, values, (name for name, _ in query))


def _parameter(name: str, detail: str) -> Problem:
    error = {"parameter": name, "detail": detail}
    return Problem("invalid-content", f"{name}: {detail}", errors=[error])


def _file_without_name() -> Problem:
    return invalid("#/file", "this part has no file name, so it is no file; with curl: file=@a.jpg")


# Images


async def _one_image(request: Request, limits: Limits) -> bytes:
    """The whole body, of which no more is kept than an image may have."""
    kept, size = bytearray(), 0
    async for chunk in _stream(request):
        size += len(chunk)
        if size <= limits.image_bytes:
            kept += chunk
    check_image_bytes(size, limits, "#/inputs/0")
    return bytes(kept)


async def _form(request: Request, limits: Limits, files: int, fields: int, member: str) -> Form:
    def too_many() -> Problem:
        return invalid(f"#/{member}", f"more than {files} files; send them in several requests")

    def too_large(index: int) -> Problem:
        return invalid(
            f"#/{member}/{index}",
            f"an image file of more than {limits.image_bytes} bytes; send a smaller image or a "
            "stronger compression",
        )

    bounds = FormLimits(files, fields, limits.image_bytes, too_many, too_large)
    return await read_form(_stream(request), request.headers["content-type"], bounds)


def _images(form: Form, place: str) -> tuple[Input, ...]:
    return tuple(_image(one, place.format(index)) for index, one in enumerate(form.files))


def _image(part: FilePart, pointer: str) -> Input:
    declared = part.media_type or _BYTES
    meant = known_media_type(declared)
    if meant is None and declared != _BYTES:
        raise Problem(
            "unsupported-media-type",
            f"{pointer} is declared as {declared}; send {ACCEPTED}",
            errors=[{"pointer": pointer, "detail": f"declared as {declared}"}],
        )
    check_declared(part.data, meant, pointer)
    return Input(image=part.data)


def _labels(form: Form) -> FormLabels:
    """A label for each file: as many as there are files, or one for all of them."""
    count = len(form.files)
    given: dict[str, list[str]] = {"label": [], "id": []}
    for name, value in form.fields:
        if name == "file":
            raise _file_without_name()
        if name not in given:
            raise invalid(f"#/{name}", "no such part; a form has file, label and id")
        given[name].append(value)
    labels, ids = given["label"], given["id"]
    if len(labels) == 1:
        labels = labels * count
    if len(labels) != count or len(ids) not in (0, count):
        raise invalid(
            "#/examples",
            f"{count} files, {len(labels)} labels and {len(ids)} ids; send one label for each file "
            "in the order of the files or one label for all, and an id for each file or none",
        )
    rows = [{"label": label} for label in labels]
    named = [{**row, "id": own} for row, own in zip(rows, ids, strict=True)] if ids else rows
    return _validated(FormLabels, {"examples": named})
