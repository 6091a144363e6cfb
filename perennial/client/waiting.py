"""Waiting for a batch: when it is over, and how long to pause between two looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from perennial.client.errors import BatchFailed, WaitTimedOut
from perennial.client.results import Batch, Status

Until = Literal["published", "refreshed"]

_REACHED: dict[Until, frozenset[Status]] = {
    "refreshed": frozenset({"refreshed", "training", "evaluating", "published"}),
    "published": frozenset({"published"}),
}
_FIRST_PAUSE = 0.05  # seconds: a refresh takes about this long
_LONGEST_PAUSE = 1.0
_GROWTH = 1.5


class Wait:
    """One wait, without the network: `over` judges a look at the batch, `pause` times the next.

    Raises (from `over`) BatchFailed and WaitTimedOut.
    """

    def __init__(
        self,
        until: Until,
        timeout: float,
        on_progress: Callable[[Batch], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if until not in _REACHED:
            raise ValueError(f"until must be one of {sorted(_REACHED)}, not {until!r}")
        self._until = until
        self._timeout = timeout
        self._on_progress = on_progress
        self._clock = clock
        self._deadline = clock() + timeout
        self._pause = _FIRST_PAUSE
        self._seen: Batch | None = None

    def over(self, batch: Batch) -> bool:
        """Whether the batch has got there. Reports it where it changed since the last look."""
        if batch != self._seen and self._on_progress is not None:
            self._on_progress(batch)
        self._seen = batch
        if batch.status == "failed":
            raise BatchFailed(batch)
        if batch.status in _REACHED[self._until]:
            return True
        if self._clock() >= self._deadline:
            raise WaitTimedOut(batch, self._until, self._timeout)
        return False

    def pause(self) -> float:
        """Seconds until the next look: growing, and never past the deadline."""
        pause, self._pause = self._pause, min(self._pause * _GROWTH, _LONGEST_PAUSE)
        return max(0.0, min(pause, self._deadline - self._clock()))
