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
