"""The FastAPI application around a service, for uvicorn and for Ray Serve alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.middleware import Middleware

from learner import spans
from serving import problems
from serving.admission import Admission
from serving.middleware import BodyLimit, Deadline, RequestRecord
from serving.problems import documented
from serving.request_span import RequestSpan
from serving.routes import (
    batches,
    canary,
    classify,
    events,
    examples,
    feedback,
    health,
    index,
    info,
    tasks,
    versions,
)
from serving.schemas.forms import BODIES
from serving.schemas.shape import ProblemDetails
from serving.service import Service

DESCRIPTION = """
A classification server that keeps learning. Teach it with labelled examples
(`POST /v1/tasks/{task}/examples`), ask it with `POST /v1/classify`, at the same time.
Every refusal is `application/problem+json` (RFC 9457); every answer carries `X-Request-Id`.
"""
_SHAPES: tuple[type[BaseModel], ...] = (ProblemDetails, *BODIES)
_ROUTES = (
    classify,
    tasks,
    examples,
    batches,
    feedback,
    versions,
    canary,
    events,
    info,
    health,
    index,
)


def create_app(service: Service | Callable[[], Service], *, manage: bool = True) -> FastAPI:
    """The application. A callable is called when the application starts, in the serving process.

    manage: starting and stopping the application does so with the service; without it somebody
    else sees to that. Either way the service is in `app.state.service` while requests are answered.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        running = service if isinstance(service, Service) else service()
        if manage:
            await running.start()
        app.state.service = running
        try:
            yield
        finally:
            if manage:
                await running.stop()

    app = FastAPI(
        title="Perennial",
        version=version("perennial"),
        description=DESCRIPTION,
        lifespan=lifespan,
        middleware=[
            *([Middleware(RequestSpan)] if spans.are_on() else []),
            *(Middleware(one) for one in (RequestRecord, Admission, BodyLimit, Deadline)),
        ],
        responses=documented("unauthenticated", "forbidden", "rate-limited", "internal-error"),
        redirect_slashes=False,
    )
    problems.install(app)
    for module in _ROUTES:
        app.include_router(module.router)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Puts into the OpenAPI document what FastAPI does not see: problems, and hand-read bodies.

    A server without keys asks for none.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in _SHAPES:
            if model.__name__ not in schemas:
                shape = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(shape.pop("$defs", {}))
                schemas[model.__name__] = shape
        known = getattr(app.state, "service", None)
        keyless = known is not None and not known.keyring.access.demands_keys
        return {**document, "paths": _open(document["paths"])} if keyless else document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _open(paths: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Without what callers have to show."""
    return {
        path: {
            method: {name: value for name, value in operation.items() if name != "security"}
            for method, operation in operations.items()
        }
        for path, operations in paths.items()
    }
