from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from learner.examples import TaskExamples, per_class_limit, pick_spread
from prompt_store import Example


def examples(*labels: str) -> list[Example]:
    return [Example(id=str(i), label=label, text=f"text {i}") for i, label in enumerate(labels)]


def test_every_fourth_of_a_class_is_held_out_across_batches() -> None:
    task = TaskExamples("t").add("b1", examples("x", "x", "x")).add("b2", examples("x", "y"))
    assert [row.held_out for row in task.rows] == [False, False, False, True, False]
    assert task.labels == ("x", "y")


def test_a_full_class_keeps_its_limit_and_always_the_same_rows() -> None:
    task = TaskExamples("t").add("b1", examples(*"xxxxx")).add("b2", examples(*"xxxxx"))
    kept, indices = task.keep(4)
    assert [task.rows[i] for i in indices] == list(kept.rows)
    assert len(kept.rows) == 4
    assert task.keep(4) == (kept, indices)
    assert kept.seen == {"x": 10}


def test_round_trip() -> None:
    task = TaskExamples("naïve ☂").add("b1", examples("x", "ß"))
    assert TaskExamples.from_bytes(task.to_bytes()) == task


def test_limits_share_a_total_but_never_fall_below_the_floor() -> None:
    assert per_class_limit(10, per_class=64, total=4096) == 64
    assert per_class_limit(150, per_class=64, total=4096) == 27
    assert per_class_limit(3000, per_class=64, total=4096) == 4


@given(
    st.lists(st.lists(st.integers(0, 10**6), max_size=9, unique=True), max_size=6),
    st.integers(0, 30),
)
def test_picking_is_spread_and_bounded(groups: list[list[int]], budget: int) -> None:
    offset = [[1_000_001 * g + i for i in group] for g, group in enumerate(groups)]
    picked = pick_spread(offset, budget)
    assert len(picked) == min(budget, sum(map(len, offset)))
    counts = Counter(i // 1_000_001 for i in picked)
    for g, group in enumerate(offset):
        fair = min(len(group), budget // max(1, sum(1 for x in offset if x)))
        assert counts.get(g, 0) >= min(fair, len(group))


def test_roles_keep_their_shares_when_a_class_is_cut() -> None:
    task, _ = TaskExamples("t").add("b", examples(*"x" * 40)).keep(8)
    assert Counter(row.held_out for row in task.rows) == {False: 6, True: 2}
