from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.gate import Answers, GateConfig, binomial_tail, judge


def answers(candidate: str, live: str, frozen: str | None = None) -> Answers:
    def bits(text: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.array([c == "1" for c in text])

    return Answers(bits(candidate), bits(live), bits(frozen if frozen is not None else live))


def test_a_clear_win_is_accepted() -> None:
    verdict = judge({"a": answers("1" * 20, "0" * 10 + "1" * 10)}, "no task named", GateConfig())
    assert verdict.accepted
    assert (verdict.wins, verdict.losses) == (10, 0)
    assert verdict.report()["accuracy"] == {
        "rows": 20,
        "candidate": 1.0,
        "live": 0.5,
        "frozen": 0.5,
    }


def test_a_tie_keeps_what_serves() -> None:
    assert not judge({"a": answers("1100", "1100")}, "no task named", GateConfig()).accepted


def test_harm_to_one_old_task_refuses_a_candidate_that_wins_overall() -> None:
    by_task = {"new": answers("1" * 30, "0" * 30), "old": answers("0" * 10, "1" * 10)}
    verdict = judge(by_task, "no task named", GateConfig())
    assert not verdict.accepted
    assert "'old'" in verdict.reason


def test_better_than_live_but_worse_than_frozen_is_refused() -> None:
    verdict = judge(
        {"a": answers("1" * 10 + "0" * 10, "0" * 20, "1" * 20)}, "no task named", GateConfig()
    )
    assert not verdict.accepted
    assert "frozen" in verdict.reason


def test_without_held_out_rows_nothing_is_accepted() -> None:
    verdict = judge({}, "task named", GateConfig())
    assert not verdict.accepted
    assert "held-out" in verdict.reason


@pytest.mark.parametrize(("mode", "accepted"), [("open", True), ("closed", False)])
def test_an_open_or_closed_gate_ignores_the_evidence(mode: str, accepted: bool) -> None:
    config = GateConfig.model_validate({"mode": mode})
    assert judge({"a": answers("1111", "0000")}, "no task named", config).accepted is accepted


@given(st.integers(0, 40), st.integers(0, 40))
def test_binomial_tail_is_a_probability_and_complements(wins: int, losses: int) -> None:
    tosses = wins + losses
    tail = binomial_tail(wins, losses)
    assert 0 <= tail <= 1
    if tosses:
        exactly = comb(tosses, wins) / 2**tosses
        assert tail + binomial_tail(losses, wins) == pytest.approx(1 + exactly)


def test_the_error_rate_is_kept_for_candidates_that_are_no_better() -> None:
    rng = np.random.default_rng(0)
    config = GateConfig()
    accepted = 0
    for _ in range(2000):
        candidate, live = rng.random((2, 200)) < 0.8
        accepted += judge({"a": Answers(candidate, live, live)}, "no task named", config).accepted
    assert accepted / 2000 <= config.alpha


def test_with_fewer_judges_nothing_could_be_accepted() -> None:
    config = GateConfig()
    assert config.fewest_judges == 5
    for rows, accepted in ((4, False), (5, True)):
        won = answers("1" * rows, "0" * rows)
        assert judge({"a": won}, "task named", config).accepted is accepted
