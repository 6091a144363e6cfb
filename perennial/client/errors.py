"""What can go wrong with a call.

PerennialError
├── Unreachable          no answer: refused, timed out, broken off
├── UnexpectedAnswer     an answer, but not of the documented shape (is this a Perennial server?)
├── BatchFailed          the batch waited for ended as `failed`
├── WaitTimedOut         the batch waited for is not there yet (also a TimeoutError)
└── Problem              the server said no (RFC 9457 `application/problem+json`)
    ├── Malformed            400
    ├── Unauthorized         401
    ├── Forbidden            403
    ├── NotFound             404
    ├── Conflict             409
    ├── TooLarge             413
    ├── UnsupportedMedia     415
    ├── Invalid              422
    ├── Overloaded           429
    └── ServerError          5xx
        └── NotReady             503
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from perennial.client.results import Batch


class PerennialError(Exception):
    """Head of the tree: catch this to catch everything the client raises."""


class Unreachable(PerennialError):
    """No answer came from the server."""


class UnexpectedAnswer(PerennialError):
    """The answer is not of the documented shape."""


class BatchFailed(PerennialError):
    """The batch ended as `failed`; `batch` holds the server's last word on it."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(
            f"batch {batch.batch} failed: {batch.error or 'the server gave no reason'}"
        )
        self.batch = batch


class WaitTimedOut(PerennialError, TimeoutError):
    """The batch did not get there in time; `batch` holds its last state. It is not lost."""

    def __init__(self, batch: Batch, until: str, timeout: float) -> None:
        super().__init__(
            f"batch {batch.batch} is {batch.status!r} after {timeout:g} s, not yet {until!r}; "
            "it is not lost: wait again or ask for its state later"
        )
        self.batch = batch


class Problem(PerennialError):
    """A refusal by the server.

    status: the HTTP status; type, title, detail: the members of RFC 9457; members: everything else
    the problem carried; retry_after: seconds the server asks to wait, None where it does not say.
    """

    def __init__(
        self,
        status: int,
        *,
        type: str = "about:blank",
        title: str = "",
        detail: str = "",
        retry_after: float | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or title or f"the server answered {status}")
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.retry_after = retry_after
        self.members = members or {}


class Malformed(Problem):
    """400: the request could not be read."""


class Unauthorized(Problem):
    """401: a key is needed, or the one sent is unknown."""


class Forbidden(Problem):
    """403: the key lacks the scope for this call."""


class NotFound(Problem):
    """404: no such task, batch or version."""


class Conflict(Problem):
    """409: not here yet, or the same request is in progress."""


class TooLarge(Problem):
    """413: more than the server's limits allow."""


class UnsupportedMedia(Problem):
    """415: a content type the server does not read."""


class Invalid(Problem):
    """422: well-formed but not acceptable, or an idempotency key used again with other examples."""


class Overloaded(Problem):
    """429: the queue is full; `retry_after` says when to come back."""


class ServerError(Problem):
    """5xx: the fault is the server's."""


class NotReady(ServerError):
    """503: the server has nothing to answer with yet."""


_BY_STATUS: dict[int, type[Problem]] = {
    400: Malformed,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedMedia,
    422: Invalid,
    429: Overloaded,
    503: NotReady,
}
_STANDARD_MEMBERS = frozenset({"type", "title", "status", "detail"})
_EXCERPT = 200  # characters of a body that is no problem+json: enough to recognise a proxy's page


def problem_from(response: httpx.Response) -> Problem:
    """The error for an answer of 400 or above; a body of another type becomes the detail."""
    members = {"title": response.reason_phrase, **_members(response)}
    return problem(response.status_code, members, _retry_after(response))


def problem(status: int, members: dict[str, Any], retry_after: float | None = None) -> Problem:
    """The error of this kind. members: of RFC 9457, and others."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else Problem)
    return kind(
        status,
        type=str(members.get("type", "about:blank")),
        title=str(members.get("title", "")),
        detail=str(members.get("detail", "")),
        retry_after=retry_after,
        members={k: v for k, v in members.items() if k not in _STANDARD_MEMBERS},
    )


def _members(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"detail": response.text[:_EXCERPT].strip()}


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of `Retry-After`. The date form is not used by this API and reads as absent."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
