"""A key's token bucket, under a clock of the test's own."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from serving.allowance import Allowance


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    allowance = Allowance(2.0, 3, clock)
    assert [allowance.enter() for _ in range(4)] == [0, 0, 0, 1]
    assert allowance.wait() == 0.5
    clock.now += 0.5
    assert [allowance.enter() for _ in range(2)] == [0, 1]
    clock.now += 1000
    assert [allowance.enter() for _ in range(4)] == [0, 0, 0, 1]


def test_a_large_request_is_let_in_and_paid_for_afterwards() -> None:
    clock = Clock()
    allowance = Allowance(2.0, 3, clock)
    assert allowance.enter() == 0
    allowance.pay(99)
    assert allowance.enter() == 49  # 3 - 100 tokens; the first of them is there after 98 / 2 s
    clock.now += 49
    assert allowance.enter() == 0


STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=60
)  # quarter seconds that pass, inputs of the request


@given(st.integers(1, 8), st.integers(1, 10), STEPS)
def test_never_more_than_burst_and_rate_and_one_request(
    rate: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    clock = Clock()
    allowance = Allowance(rate, burst, clock)
    passed, largest = 0, 0
    for quarters, inputs in steps:
        clock.now += quarters / 4
        if allowance.enter() == 0:
            allowance.pay(inputs)
            passed, largest = passed + 1 + inputs, max(largest, inputs)
        assert passed <= burst + Fraction(clock.now) * rate + largest


@given(st.integers(1, 8), st.integers(1, 10), st.integers(0, 50))
def test_who_comes_back_as_told_is_let_in_and_not_a_second_before(
    rate: int, burst: int, inputs: int
) -> None:
    clock = Clock()
    allowance = Allowance(rate, burst, clock)
    while (seconds := allowance.enter()) == 0:
        allowance.pay(inputs)
    clock.now += seconds - 1
    assert allowance.enter() == 1
    clock.now += 1
    assert allowance.enter() == 0
