"""How long an input takes, as passes tell it."""

from __future__ import annotations

import pytest

from serving.pace import Pace


def test_it_is_unknown_until_something_waited() -> None:
    pace = Pace()
    pace.record(1, 5.0, more=False)
    assert pace.seconds == 0.0
    pace.record(10, 1.0, more=True)
    assert pace.seconds == pytest.approx(0.1)


def test_it_follows_the_passes_by_their_inputs() -> None:
    pace = Pace()
    for _ in range(100):
        pace.record(1, 1.0, more=True)
        pace.record(9, 0.0, more=True)
    assert pace.seconds == pytest.approx(0.1, rel=0.1)


def test_a_slow_moment_is_forgotten_when_nobody_waits() -> None:
    pace = Pace()
    pace.record(1, 100.0, more=True)
    pace.record(1, 0.01, more=False)
    assert pace.seconds == pytest.approx(0.01)
    pace.record(1, 5.0, more=False)  # alone, slower: says nothing
    assert pace.seconds == pytest.approx(0.01)
