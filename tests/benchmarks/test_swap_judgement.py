"""How the swap benchmark judges answers against the log."""

from benchmarks.load import Answer, percentile
from benchmarks.swap import Publication, existed, late, newest_at

LOG = [Publication(2, 10.0), Publication(3, 20.0), Publication(5, 30.0)]


def answer(started: float, ended: float, version: int) -> Answer:
    return Answer(started, ended, version, "replica")


def test_an_answer_is_late_by_the_time_since_its_version_was_replaced() -> None:
    assert late(answer(19.9, 21.0, 2), LOG) == 0.0
    assert late(answer(20.5, 21.0, 2), LOG) == 0.5
    assert late(answer(31.0, 31.1, 2), LOG) == 11.0
    assert late(answer(99.0, 99.1, 5), LOG) == 0.0


def test_a_version_existed_once_it_was_committed() -> None:
    assert existed(answer(19.0, 20.1, 3), LOG)
    assert not existed(answer(19.0, 19.9, 3), LOG)
    assert not existed(answer(40.0, 40.1, 4), LOG)


def test_the_newest_version_at_a_moment() -> None:
    assert [newest_at(LOG, moment) for moment in (10.0, 29.9, 30.0)] == [2, 3, 5]


def test_percentiles_are_of_whole_requests() -> None:
    answers = [answer(0.0, seconds, 2) for seconds in (1.0, 2.0, 3.0)]
    assert percentile(answers, 50) == 2.0
