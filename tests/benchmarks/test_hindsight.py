import pytest

from benchmarks.hindsight import Verdict, as_json

CASES = [
    (True, 0.6, "right accepts"),
    (True, 0.5, "wrong accepts"),
    (True, 0.4, "wrong accepts"),
    (False, 0.6, "wrong refusals"),
    (False, 0.5, "right refusals"),
    (False, 0.4, "right refusals"),
]


@pytest.mark.parametrize(("accepted", "accuracy", "outcome"), CASES)
def test_better_on_test_rows_should_be_accepted_and_a_tie_refused(
    accepted: bool, accuracy: float, outcome: str
) -> None:
    assert Verdict(3, accepted, accuracy, 0.5).outcome == outcome


def test_outcomes_are_counted() -> None:
    counts = as_json([Verdict(i, a, x, 0.5) for i, (a, x, _) in enumerate(CASES)])
    assert (counts["right accepts"], counts["wrong accepts"]) == (1, 2)
    assert (counts["right refusals"], counts["wrong refusals"]) == (2, 1)
