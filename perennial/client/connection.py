"""What both clients share: the checked address, the headers, the judgement of an answer."""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import TypeVar

import httpx

from perennial.client.calls import Call
from perennial.client.errors import problem_from

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
EVENTS_PATH = "/v1/events"
EVENTS_TIMEOUT = httpx.Timeout(30.0, read=60.0)
"""Seconds. The server sends a heartbeat every 15 s, so a minute's silence is a dead connection."""


def checked_url(url: str) -> httpx.URL:
    """The server's address. Raises ValueError for anything but http(s)://host[:port][/path]."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"cannot read the URL {url!r}: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError(f"the URL must look like {DEFAULT_URL}, not {url!r}")
    return parsed


def headers(key: str | None) -> dict[str, str]:
    """The headers of every call: who asks, and with which key.

    Raises ValueError for a key that cannot stand in a header (the key itself is not repeated).
    """
    if key and not (key.isascii() and key.isprintable()):
        raise ValueError("the key may hold printable ASCII only; check for line breaks or quotes")
    named = {"User-Agent": f"perennial-client/{installed('perennial')}"}
    return named | ({"Authorization": f"Bearer {key}"} if key else {})


def read(call: Call[T], response: httpx.Response) -> T:
    """The result of a call. Raises Problem where the server refused, UnexpectedAnswer."""
    if response.is_error:
        raise problem_from(response)
    return call.read(response)
