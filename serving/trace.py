"""Which trace a request belongs to: W3C Trace Context, https://www.w3.org/TR/trace-context/."""

from __future__ import annotations

import re
from contextvars import ContextVar
from random import getrandbits
from typing import NamedTuple

_TRACEPARENT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})"
    rb"-(?!0{16})[0-9a-f]{16}-[0-9a-f](?P<flags>[0-9a-f])(?P<more>-.*)?"
)
_SAMPLED = 1


class Trace(NamedTuple):
    """id: 32 hex digits; span: 16, of this request itself; flags: 2, `01` where it is sampled."""

    id: str
    span: str
    flags: str

    @property
    def parent(self) -> str:
        """The `traceparent` of what this request causes."""
        return f"00-{self.id}-{self.span}-{self.flags}"


trace: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of the request being answered by the running task or thread."""


def joined(traceparent: bytes) -> Trace | None:
    """A new span of the caller's trace. None where the header is invalid: it is then ignored."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match["more"] and match["version"] == b"00"):
        return None
    return Trace(match["trace"].decode(), _span(), f"{int(match['flags'], 16) & _SAMPLED:02x}")


def begun(name: str) -> Trace:
    """A trace that begins with this request. name: 32 hex digits, its id."""
    return Trace(name, _span(), "00")


def _span() -> str:
    return f"{getrandbits(64) | 1:016x}"  # never 0, which would be invalid
