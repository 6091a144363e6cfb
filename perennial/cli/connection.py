"""Which server a command speaks to, and one clear line where that fails."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from perennial.client import (
    AsyncClient,
    Client,
    Forbidden,
    Overloaded,
    PerennialError,
    Problem,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from perennial.client.connection import DEFAULT_URL

F = TypeVar("F", bound=Callable[..., Any])

_REMEDIES: dict[type[PerennialError], str] = {
    Unreachable: "Start a server with `perennial serve`, or name another with --url.",
    Unauthorized: "Pass a key with --key or PERENNIAL_KEY.",
    Forbidden: "Use a key that has the scope for this call.",
    Overloaded: "Try again in a moment, or add replicas.",
    TooLarge: "Send less at once, for instance with a smaller --batch-size.",
}
_PASSING = frozenset({"version-not-loaded", "overloaded", "not-ready"})
"""Types of problems that pass by without anybody's doing."""


@dataclass(frozen=True)
class Connection:
    """What --url, --key and --json said."""

    url: str
    key: str | None
    json: bool

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client whose errors end the command with one clear line and exit code 1."""
        with clear_errors(), _usage_errors():
            client = Client(self.url, self.key)
        with clear_errors(), client:
            yield client

    def async_client(self) -> AsyncClient:
        """The same server for an event loop; call it inside `clear_errors`."""
        with _usage_errors():
            return AsyncClient(self.url, self.key)


def connected(command: F) -> F:
    """Give a command --url, --key and --json; its first argument becomes a `Connection`."""

    @click.option(
        "--url", envvar="PERENNIAL_URL", default=DEFAULT_URL, show_default=True, show_envvar=True,
        help="Address of the server.",
    )  # fmt: skip
    @click.option("--key", envvar="PERENNIAL_KEY", show_envvar=True, help="Bearer key.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs to read.")
    @functools.wraps(command)
    def wrapped(url: str, key: str | None, as_json: bool, **arguments: Any) -> Any:
        return command(Connection(url, key, as_json), **arguments)

    return wrapped  # type: ignore[return-value]  # click replaces the signature


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the client's errors into click's: one line with a remedy, exit code 1."""
    try:
        yield
    except PerennialError as error:
        raise click.ClickException(one_line(error)) from error


@contextmanager
def _usage_errors() -> Iterator[None]:
    """A URL or key that cannot be used is a mistake of usage: exit code 2."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def one_line(error: PerennialError) -> str:
    """What went wrong, and a remedy where one is known."""
    remedy = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), None)
    if remedy is None and isinstance(error, Problem) and _name(error) in _PASSING:
        remedy = "Try again in a moment."
    said = str(error).strip()
    return f"{said.rstrip('.')}. {remedy}" if remedy else said


def _name(problem: Problem) -> str:
    """The last part of its type, as listed in docs/problems.md."""
    return problem.type.rpartition("/")[2]
