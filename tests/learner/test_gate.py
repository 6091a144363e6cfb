"""The gate: a paired permutation test with a stated error rate, and what it refuses besides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from learner.gate import Answered, Answers, GateConfig, Verdict, chance_of, judge, sign_test

SURE, UNSURE, WRONG = -0.1, -0.6, -2.0


def answered(log_posteriors: list[float]) -> Answered:
    """Right where more than half of the probability went to the true class."""
    values = np.array(log_posteriors, dtype=np.float64)
    return Answered(values, values > np.log(0.5))


def verdict_on(
    candidate: list[float],
    live: list[float],
    frozen: list[float] | None = None,
    owners: list[str] | None = None,
    **config: Any,
) -> Verdict:
    answers = Answers(answered(candidate), answered(live), answered(frozen or live))
    owners = owners or ["task"] * len(candidate)
    return judge(answers, owners, "no task named", GateConfig.model_validate(config))


def test_a_clear_win_is_accepted() -> None:
    verdict = verdict_on([SURE] * 20, [WRONG] * 10 + [SURE] * 10)
    assert verdict.accepted
    assert (verdict.wins, verdict.losses) == (10, 0)
    assert verdict.report()["accuracy"] == {
        "rows": 20,
        "candidate": 1.0,
        "live": 0.5,
        "frozen": 0.5,
    }


def test_a_tie_keeps_what_serves() -> None:
    assert not verdict_on([SURE, UNSURE] * 4, [SURE, UNSURE] * 4).accepted


def test_surer_but_not_right_more_often_is_refused() -> None:
    for candidate in ([SURE] * 30, [SURE] * 29 + [WRONG]):
        verdict = verdict_on(candidate, [UNSURE] * 30)
        assert not verdict.accepted
        assert "not right more often" in verdict.reason


def test_a_certain_gain_must_also_be_worth_it() -> None:
    """One row more of a hundred is enough, one of a thousand is not."""
    for rows, accepted in ((100, True), (1000, False)):
        live = [UNSURE] * (rows - 1) + [WRONG]
        assert verdict_on([SURE] * rows, live).accepted is accepted


def test_what_is_right_on_few_more_rows_is_accepted_by_how_sure_it_is() -> None:
    live = [UNSURE] * 27 + [WRONG] * 3
    assert verdict_on([SURE] * 30, live).accepted
    assert not verdict_on([UNSURE] * 29 + [WRONG], live, alpha=0.01).accepted


def test_harm_to_one_old_task_refuses_a_candidate_that_wins_overall() -> None:
    owners = ["new"] * 30 + ["old"] * 10
    verdict = verdict_on([SURE] * 30 + [WRONG] * 10, [WRONG] * 30 + [UNSURE] * 10, owners=owners)
    assert not verdict.accepted
    assert "'old'" in verdict.reason


def test_better_than_live_but_worse_than_frozen_is_refused() -> None:
    verdict = verdict_on([SURE] * 10 + [WRONG] * 10, [WRONG] * 20, [SURE] * 20)
    assert not verdict.accepted
    assert "frozen" in verdict.reason
    assert verdict.frozen_suffices


def test_without_held_out_rows_nothing_is_accepted() -> None:
    verdict = verdict_on([], [])
    assert not verdict.accepted
    assert "held-out" in verdict.reason


@pytest.mark.parametrize(("mode", "accepted"), [("open", True), ("closed", False)])
def test_an_open_or_closed_gate_ignores_the_evidence(mode: str, accepted: bool) -> None:
    assert verdict_on([SURE] * 6, [WRONG] * 6, mode=mode).accepted is accepted


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
def test_for_few_rows_the_chance_is_exact(differences: list[int]) -> None:
    values = np.array(differences, dtype=np.float64)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * len(values))).reshape(len(values), -1)
    means = signs.T @ values / len(values)
    exact = float(np.mean(means >= values.mean() - 1e-9)) if np.any(values) else 1.0
    assert chance_of(values) == pytest.approx(exact, abs=0.02)


def test_the_error_rate_is_kept_for_candidates_that_are_no_better() -> None:
    rng = np.random.default_rng(0)

    def drawn() -> NDArray[np.float64]:
        return np.log(rng.beta(4, 2, 40))

    accepted, trials = 0, 400
    for _ in range(trials):
        candidate, live = drawn(), drawn()
        accepted += verdict_on(candidate.tolist(), live.tolist()).accepted
    assert accepted <= binom.ppf(0.999, trials, GateConfig().alpha)


def test_with_fewer_judges_nothing_could_be_accepted() -> None:
    assert GateConfig().fewest_judges == 5
    for rows, accepted in ((4, False), (5, True)):
        assert verdict_on([SURE] * rows, [WRONG] * rows).accepted is accepted


def test_sign_test_is_exact() -> None:
    assert sign_test(2, 0) == pytest.approx(0.25)
    assert sign_test(4, 0) == pytest.approx(1 / 16)
    assert sign_test(1, 1) == pytest.approx(0.75)
    assert sign_test(0, 3) == 1.0
