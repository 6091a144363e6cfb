"""What routes have in common: the service, the caller, and clients that go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator

from prompt_store import Actor
from serving.allowance import Allowance
from serving.audit import acting
from serving.auth import Caller
from serving.logs import request_id
from serving.media_types import media_type_sent
from serving.middleware import service_of
from serving.names import Name
from serving.problems import Problem
from serving.service import Service
from serving.settings import Scope

T = TypeVar("T")

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="A key of this server. Scopes: admin includes learn, learn includes predict.",
)


async def _service(request: Request) -> Service:  # not async, it would run in a thread
    return service_of(request.scope)


async def _json_only(request: Request) -> None:
    media_type = media_type_sent(request.headers)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(
            "unsupported-media-type",
            f"the body is {media_type or 'of no type'}; send Content-Type: application/json",
        )


def admit(request: Request, scope: Scope) -> str:
    """The caller's name. Raises Problem: unauthenticated, forbidden."""
    peer = request.client.host if request.client else None
    return service_of(request.scope).keyring.access.admit(Caller(peer, request.headers), scope)


def may_still(request: Request) -> Callable[[], bool]:
    """Tells whether the caller of a request that lasts may still predict: keys can end."""

    def admitted() -> bool:
        try:
            admit(request, "predict")
        except Problem:
            return False
        return True

    return admitted


def _caller(scope: Scope) -> Callable[[Request], Coroutine[Any, Any, str]]:
    async def admitted(request: Request) -> str:
        caller = request.state.caller = admit(request, scope)
        acting.set(Actor(name=caller, request=request_id.get()))
        _enter(service_of(request.scope).keyring.allowance(caller), caller)
        return caller

    return admitted


def _enter(allowance: Allowance | None, caller: str) -> None:
    """Counts the request itself. Raises Problem rate-limited."""
    if allowance is not None and (seconds := allowance.enter()):
        raise Problem(
            "rate-limited",
            f"the key {caller!r} may send {allowance.per_second:g} inputs a second to one replica; "
            f"come back in {seconds} s, or send less",
            retry_after=seconds,
            inputs_per_second=allowance.per_second,
        )


def pay(request: Request, inputs: int) -> None:
    """Counts the inputs of an admitted request; the first is paid for."""
    allowance = service_of(request.scope).keyring.allowance(request.state.caller)
    if allowance is not None:
        allowance.pay(max(0, inputs - 1))


ServiceDependency = Annotated[Service, Depends(_service)]
"""The service behind the application."""


def _in_an_address(name: str) -> str:
    if name in (".", ".."):
        raise ValueError(f"a task is not named {name!r}: in an address that is a folder")
    return name


TaskName = Annotated[
    Name, AfterValidator(_in_an_address), Path(description="name of a task", examples=["mail"])
]

JSON_ONLY = Depends(_json_only)
PREDICT: list[Any] = [Security(_BEARER), Depends(_caller("predict"))]
LEARN: list[Any] = [Security(_BEARER), Depends(_caller("learn"))]
ADMIN: list[Any] = [Security(_BEARER), Depends(_caller("admin"))]
"""For a route's `dependencies`: who may call it."""


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is dropped when the client goes away.

    Raises Problem client-closed-request, which nobody will read.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Problem("client-closed-request", "the client went away before the answer")
    finally:
        working.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection. For requests whose body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
