"""When a call is sent again, and how long it waits before that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from perennial.client.errors import Conflict, NotReady, Overloaded, Problem, Unreachable


@dataclass(frozen=True)
class Retries:
    """How often and how patiently.

    attempts: sends in all, 1 for no retries; longest_pause: seconds, the bound on one pause. Where
    the server asks for more than that, no further attempt: the caller is told, not kept waiting.
    """

    attempts: int = 5
    longest_pause: float = 20.0
    first_pause: float = 0.2

    def policy(self) -> dict[str, Any]:
        """The arguments for tenacity's `Retrying` and `AsyncRetrying`."""
        return {
            "retry": retry_if_exception(self._passes_by),
            "stop": stop_after_attempt(self.attempts),
            "wait": self._pause,
            "reraise": True,
        }

    def _passes_by(self, error: BaseException) -> bool:
        """Whether the same call may well succeed later."""
        if isinstance(error, Problem) and (error.retry_after or 0.0) > self.longest_pause:
            return False
        if isinstance(
            error, Conflict
        ):  # "not loaded here yet" names a time, other conflicts do not
            return error.retry_after is not None
        return isinstance(error, Overloaded | NotReady | Unreachable)

    def _pause(self, state: RetryCallState) -> float:
        """Seconds: what the server asked for, plus jitter that doubles with every attempt."""
        error = state.outcome.exception() if state.outcome else None
        asked = (error.retry_after or 0.0) if isinstance(error, Problem) else 0.0
        jitter = wait_random_exponential(multiplier=self.first_pause, max=self.longest_pause)
        return asked + jitter(state)


def unreachable(error: httpx.RequestError, url: httpx.URL) -> Unreachable:
    """The client's error for a connection that gave no answer."""
    reason = str(error) or type(error).__name__
    return Unreachable(f"no answer from {url} ({reason}); check the URL and that the server runs")
