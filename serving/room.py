"""Overload is refused, not queued for ever."""

from __future__ import annotations

from serving.metrics import Metrics
from serving.problems import Problem


def check_room(
    waiting: int, more: int, most: int, *, metrics: Metrics, what: str, retry_after: int
) -> None:
    """Whether `more` may join `waiting`. Where nothing waits any number may: none is for ever.

    what: who waits for what, for people;  retry_after: seconds. Raises Problem overloaded.
    """
    if waiting == 0 or waiting + more <= most:
        return
    metrics.add("perennial_refusals")
    raise Problem(
        "overloaded",
        f"{waiting} {what} and at most {most} may; try again later",
        retry_after=retry_after,
    )


def check_wait(expected: float, most: float, *, metrics: Metrics, retry_after: int) -> None:
    """Whether a wait of `expected` seconds is short enough. Raises Problem overloaded."""
    if expected <= most:
        return
    metrics.add("perennial_refusals")
    raise Problem(
        "overloaded",
        f"the wait would be {expected:.2f} s and at most {most:.2f} s may be; try again later",
        retry_after=retry_after,
    )
