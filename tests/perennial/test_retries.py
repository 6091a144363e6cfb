from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState, Retrying

from perennial.client import Batch, Overloaded, WaitTimedOut
from perennial.client.retries import Retries
from perennial.client.waiting import Wait

QUEUED = Batch(batch="b", task="t", status="queued")


def _pause(retries: Retries, error: Exception, attempt: int) -> float:
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    state.set_exception((type(error), error, None))
    return float(retries.policy()["wait"](state))


@given(
    asked=st.none() | st.floats(0, 100),
    attempt=st.integers(1, 60),
    longest=st.floats(0.1, 30),
)
def test_a_pause_is_what_the_server_asked_plus_bounded_jitter(
    asked: float | None, attempt: int, longest: float
) -> None:
    retries = Retries(longest_pause=longest)
    pause = _pause(retries, Overloaded(429, retry_after=asked), attempt)
    jitter = min(longest, retries.first_pause * 2 ** (attempt - 1))
    assert (asked or 0.0) <= pause <= (asked or 0.0) + jitter


def test_clients_that_are_refused_together_do_not_come_back_together() -> None:
    pauses = {_pause(Retries(), Overloaded(429, retry_after=1), 3) for _ in range(20)}
    assert len(pauses) > 1


@given(timeout=st.floats(0, 1000))
def test_pauses_grow_and_end_at_the_deadline(timeout: float) -> None:
    now = 0.0
    wait = Wait("published", timeout, clock=lambda: now)
    pauses = []
    while now < timeout:
        assert not wait.over(QUEUED)
        pauses.append(wait.pause())
        now += pauses[-1]
    assert now == pytest.approx(timeout)
    assert all(a <= b for a, b in pairwise(pauses[:-1]))
    now = timeout + 1
    with pytest.raises(WaitTimedOut):
        wait.over(QUEUED)


def test_an_unknown_goal_is_refused() -> None:
    with pytest.raises(ValueError, match="'done'"):
        Wait("done", 1)  # type: ignore[arg-type]
