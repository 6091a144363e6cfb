"""Timings taken in turn, so that noise of the machine hits all that is compared alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def by_turns(
    forms: Mapping[T, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[T, list[float]]:
    """Seconds of each form in each round, after one that is not timed."""
    seconds: dict[T, list[float]] = {name: [] for name in forms}
    for form in forms.values():
        form()
    for number in range(rounds):
        for name in in_turn(forms, number):
            started = clock()
            forms[name]()
            seconds[name].append(clock() - started)
    return seconds


def in_turn(compared: Iterable[T], number: int) -> list[T]:
    """What is compared, in the order of this round: every other one is reversed."""
    return list(compared)[:: 1 if number % 2 else -1]


def ratio(own: Sequence[float], other: Sequence[float]) -> float:
    """The median over rounds of what was measured to another in the same round."""
    return median(a / b for a, b in zip(own, other, strict=True))
