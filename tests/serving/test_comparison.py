"""When a comparison speaks of harm, and how often it does so for nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

import pytest

from prompt_store import HarmRules
from serving.comparison import FEWEST_TIMED, Comparison, log_evidence
from serving.feedback import Judged, Truth
from serving.forward import Prediction, Result
from serving.metrics import PrometheusMetrics

RULES = HarmRules()
STOP = -math.log(RULES.false_alarms)


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(RULES, PrometheusMetrics())


def _result(name: str, label: str) -> Result:
    return Result(name, None, [Prediction("mail", label, 0.9)])


def _judged(name: str, label: str, predicted: str) -> Judged:
    outcome = "right" if label == predicted else "wrong"
    return Judged(Truth(name, label), 2, "mail", "mail", outcome)  # type: ignore[arg-type]


def test_a_canary_as_good_as_live_is_ended_as_seldom_as_promised() -> None:
    """The probability, added up over all courses of 300 inputs that one of both got right."""
    going_on: dict[int, float] = {0: 1.0}  # by how many live got right
    ended = 0.0
    for told in range(1, 301):
        after: dict[int, float] = defaultdict(float)
        for live, probability in going_on.items():
            for now in (live, live + 1):
                after[now] += probability / 2
        over = [live for live in after if log_evidence(live, told - live) >= STOP]
        ended += sum(after.pop(live) for live in over)
        going_on = after
    assert 0 < ended <= RULES.false_alarms


@pytest.mark.parametrize(("share", "enough"), [(1.0, 10), (0.8, 60), (0.65, 200)])
def test_a_worse_one_is_found_out(share: float, enough: int) -> None:
    live = round(share * enough)
    assert log_evidence(live, enough - live) >= STOP
    assert log_evidence(enough - live, live) < 0


def test_evidence_of_very_many_inputs_is_finite() -> None:
    assert math.isfinite(log_evidence(100_000, 0))


@pytest.mark.parametrize("truth_first", [False, True])
def test_pairs_are_complete_whichever_comes_first(
    comparison: Comparison, truth_first: bool
) -> None:
    for number, (canary, live) in enumerate(product("rd", repeat=2)):
        name = str(number)
        comparison.expect(name)
        if truth_first:
            comparison.heard(_judged(name, "r", canary))
        comparison.compare(_result(name, canary), _result("", live))
        comparison.heard(_judged(name, "r", canary))  # counted once at most
    assert comparison.right == {"both": 1, "canary": 1, "live": 1, "neither": 1}
    assert (comparison.same, comparison.compared) == (2, 4)
    assert comparison.harm() is None


def test_what_live_did_not_answer_makes_no_pair(comparison: Comparison) -> None:
    comparison.heard(_judged("unknown", "r", "d"))
    comparison.expect("waiting")
    comparison.heard(_judged("waiting", "r", "d"))
    assert not comparison.right


def test_slow_is_harm_once_there_are_enough_requests(comparison: Comparison) -> None:
    for _ in range(FEWEST_TIMED):
        assert comparison.harm() is None
        comparison.answered("live", 0.010)
        comparison.answered("canary", 0.031)
    assert comparison.harm() == (
        "latency: a median of 31.0 ms, and live's is 10.0; more than 3 times as long"
    )


def test_errors_are_harm(comparison: Comparison) -> None:
    for _ in range(RULES.errors):
        assert comparison.harm() is None
        comparison.failed()
    assert comparison.harm() == "errors: the canary failed 3 requests, which live answered"
