"""Refusals in the form of RFC 9457, `application/problem+json`.

Every kind of refusal has one row in `KINDS`; docs/problems.md is the table for people. The `type`
URI is stable: clients may switch on it. Members beyond the standard ones belong to the kind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from prompt_store import StoreError
from serving.trace import trace

TYPE_PREFIX = "https://perennial.dev/problems/"
MEDIA_TYPE = "application/problem+json"

logger = logging.getLogger(__name__)

_METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")
_ERRORS_NAMED = 20  # of what is wrong with one request


@dataclass(frozen=True)
class Kind:
    """One kind of refusal: its HTTP status and its title, the same for every occurrence."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed-request": Kind(400, "The request cannot be read"),
    "unauthenticated": Kind(401, "A known key is needed"),
    "forbidden": Kind(403, "This caller may not do that"),
    "not-found": Kind(404, "There is nothing at this address"),
    "unknown-task": Kind(404, "No such task"),
    "unknown-version": Kind(404, "No such version"),
    "unknown-batch": Kind(404, "No such batch"),
    "unknown-prediction": Kind(404, "No such prediction"),
    "unknown-label": Kind(404, "No such label"),
    "unknown-example": Kind(404, "No such example"),
    "unknown-erasure": Kind(404, "No such request to forget"),
    "method-not-allowed": Kind(405, "This address does not know that method"),
    "no-classes": Kind(409, "Nothing has been learnt yet"),
    "version-not-loaded": Kind(409, "The version is not loaded here yet"),
    "version-not-loadable": Kind(409, "The version cannot be served here"),
    "not-promotable": Kind(409, "The version has no content to make live"),
    "client-idle": Kind(408, "The client sent nothing for too long"),
    "body-too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The media type is not supported"),
    "unsupported-input": Kind(415, "The backbone does not see this kind of input"),
    "invalid-content": Kind(422, "The content is not acceptable"),
    "idempotency-key-reused": Kind(422, "The idempotency key was used with another body"),
    "overloaded": Kind(429, "Too many requests are waiting"),
    "rate-limited": Kind(429, "The key sends more than it may"),
    "client-closed-request": Kind(499, "The client went away"),
    "internal-error": Kind(500, "Something went wrong inside"),
    "not-ready": Kind(503, "The server is not ready"),
    "store-trouble": Kind(503, "The store cannot be read or written"),
    "deadline-exceeded": Kind(503, "The answer took too long"),
}

_SLUG_OF_STATUS = {
    400: "malformed-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


class Problem(HTTPException):
    """A refusal. It ends the request wherever it is raised.

    slug: a row of `KINDS`; detail: what was wrong in this case, with what value, and what to do;
    retry_after: seconds, sent as a header; extra: further members of the problem.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        sent = dict(headers or {})
        if retry_after is not None:
            sent["Retry-After"] = str(retry_after)
        super().__init__(KINDS[slug].status, detail, sent)
        self.slug = slug
        self.extra = extra

    @property
    def members(self) -> dict[str, Any]:
        """As the answer's body has them."""
        kind = KINDS[self.slug]
        return {
            "type": TYPE_PREFIX + self.slug,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            **self.extra,
        }

    def response(self) -> Response:
        """The answer that says so."""
        known = trace.get()
        members = self.members if known is None else {**self.members, "trace": known.id}
        return Response(
            orjson.dumps(members), self.status_code, self.headers, media_type=MEDIA_TYPE
        )


def invalid(pointer: str, detail: str) -> Problem:
    """`invalid-content` with one error. pointer: JSON pointer into the body, as `#/inputs/0`."""
    return Problem("invalid-content", detail, errors=[{"pointer": pointer, "detail": detail}])


def several_invalid(found: Sequence[tuple[str, str]]) -> Problem:
    """`invalid-content` with an error for each (pointer, detail); the first is the problem's."""
    errors = [{"pointer": pointer, "detail": detail} for pointer, detail in found[:_ERRORS_NAMED]]
    pointer, detail = found[0]
    rest = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
    return Problem("invalid-content", f"{pointer}: {detail}{rest}", errors=errors)


def problem_with(error: RequestValidationError) -> Problem:
    """What was found wrong with a body, as a problem."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return _malformed_json(found)
    errors = [_content_error(one) for one in found[:_ERRORS_NAMED]]
    first = errors[0]
    where = first.get("pointer") or first["parameter"]
    return Problem("invalid-content", f"{where}: {first['detail']}", errors=errors)


def install(app: FastAPI) -> None:
    """Makes every refusal a problem: ours, the framework's, and those of body validation."""
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    for error in (StoreError, OSError):
        app.add_exception_handler(error, _answer_store_error)


def documented(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these kinds of problem, with an example each."""
    responses: dict[int | str, dict[str, Any]] = {}
    for slug in slugs:
        kind = KINDS[slug]
        entry = responses.setdefault(
            kind.status, {"description": kind.title, "content": {MEDIA_TYPE: _content()}}
        )
        entry["content"][MEDIA_TYPE]["examples"][slug] = {"value": _example(slug, kind)}
    return responses


def _content() -> dict[str, Any]:
    return {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": {}}


def _example(slug: str, kind: Kind) -> dict[str, Any]:
    return {"type": TYPE_PREFIX + slug, "title": kind.title, "status": kind.status, "detail": "…"}


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return error.response()
    assert isinstance(error, HTTPException)
    slug = _SLUG_OF_STATUS.get(error.status_code, "internal-error")
    detail = f"{request.method} {request.url.path}: {error.detail}"
    headers = _allowed(request) if slug == "method-not-allowed" else error.headers
    return Problem(slug, detail, headers=headers).response()


def _allowed(request: Request) -> dict[str, str]:
    """`Allow` for all routes at the address; the framework's names the methods of one of them."""
    routes = request.app.routes
    methods = [
        method
        for method in _METHODS
        if any(one.matches({**request.scope, "method": method})[0] is Match.FULL for one in routes)
    ]
    return {"Allow": ", ".join(methods)}


async def _answer_store_error(request: Request, error: Exception) -> Response:
    """A damaged record, a full disk: ours to mend, and nothing of the request was half-written."""
    logger.error("the store failed", exc_info=error)
    return Problem("store-trouble", str(error), retry_after=5).response()


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_with(error).response()


def _malformed_json(found: Sequence[Mapping[str, Any]]) -> Problem:
    place, reason = found[0]["loc"][-1], found[0].get("ctx", {}).get("error", "not JSON")
    return Problem("malformed-request", f"this is not JSON: {reason} at character {place}")


def _content_error(one: Mapping[str, Any]) -> dict[str, str]:
    """`{pointer, detail}` (RFC 6901) for the body, `{parameter, detail}` elsewhere."""
    source, *steps = one["loc"]
    detail = str(one["msg"]).removeprefix("Value error, ")
    if source == "body":
        escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        return {"pointer": "#" + "".join(f"/{step}" for step in escaped), "detail": detail}
    return {"parameter": "/".join(map(str, steps)), "detail": detail}
