"""Class statistics: the algebra that refresh, merge, drift and forgetting all rest on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.statistics import ClassStatistics

CLASSES = ("mail/refund", "mail/spam", "news/sport", "news/world")
WIDTH = 5


def sample(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(size, WIDTH)).astype(np.float32), draw.integers(0, 4, size)


def stats(seed: int, size: int, classes: tuple[str, ...] = CLASSES) -> ClassStatistics:
    return ClassStatistics.of(*sample(seed, size), classes)


def assert_same(left: ClassStatistics, right: ClassStatistics) -> None:
    right = right.select(left.classes)
    assert np.array_equal(left.counts, right.counts)
    assert np.allclose(left.sums, right.sums, rtol=1e-12, atol=1e-12)
    assert np.allclose(left.scatter, right.scatter, rtol=1e-12, atol=1e-11)


def test_of_counts_every_example_of_its_class() -> None:
    features, labels = sample(0, 30)
    found = ClassStatistics.of(features, labels, CLASSES)
    for column in range(4):
        rows = features[labels == column].astype(np.float64)
        assert found.counts[column] == len(rows)
        assert np.allclose(found.sums[column], rows.sum(axis=0), rtol=1e-13)
    exact = features.astype(np.float64)
    assert np.allclose(found.scatter, exact.T @ exact, rtol=1e-13)
    assert (found.total, found.freedom, found.width) == (30, 26, WIDTH)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_batches_add_up_in_any_order_and_split(sizes: list[int], shuffle: object) -> None:
    features, labels = sample(len(sizes), sum(sizes))
    ends = np.cumsum(sizes)
    parts = [
        ClassStatistics.of(features[end - size : end], labels[end - size : end], CLASSES)
        for size, end in zip(sizes, ends, strict=True)
    ]
    shuffle.shuffle(parts)  # type: ignore[attr-defined]
    total = ClassStatistics.empty(WIDTH)
    for part in parts:
        total = total + part
    assert_same(total, ClassStatistics.of(features, labels, CLASSES))


@given(st.integers(0, 99), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
@settings(deadline=None, max_examples=40)
def test_addition_is_commutative_associative_and_undone(
    seed: int, first: int, second: int, third: int
) -> None:
    a = stats(seed, first)
    b = stats(seed + 1, second, CLASSES[::-1])
    c = stats(seed + 2, third, ("x/a", "x/b", *CLASSES[:2]))
    assert (a + b).classes == (b + a).classes
    assert_same(a + b, b + a)
    assert_same((a + b) + c, a + (b + c))
    assert_same(a, (a + b) - b)
    assert_same((a + c).select((*CLASSES, "x/a", "x/b")) - a, c.extend(CLASSES))


def test_forgetting_everything_leaves_exact_zeros() -> None:
    batch = stats(3, 17)
    rest = batch - batch
    assert not rest.counts.any()
    assert not rest.sums.any()
    assert not rest.scatter.any()
    assert rest.classes == batch.classes


def test_a_class_forgotten_in_full_leaves_no_trace_in_its_sum() -> None:
    features, labels = sample(4, 40)
    gone = labels == 2
    whole = ClassStatistics.of(features, labels, CLASSES)
    rest = whole - ClassStatistics.of(features[gone], labels[gone], CLASSES)
    assert not rest.sums[2].any()
    kept = ClassStatistics.of(features[~gone], labels[~gone], CLASSES)
    assert_same(rest.nonempty(), kept.nonempty())


def test_a_class_may_come_in_many_batches_with_repeated_labels() -> None:
    """Traps: updates exact only if a class comes in one batch; duplicate labels in a batch lost."""
    features = np.eye(WIDTH, dtype=np.float32)
    once = ClassStatistics.of(features, np.zeros(WIDTH, int), CLASSES[:1])
    rows = [ClassStatistics.of(row[None], np.array([0]), CLASSES[:1]) for row in features]
    assert once.counts[0] == WIDTH
    assert np.array_equal(once.sums[0], np.ones(WIDTH))
    assert_same(sum(rows[1:], rows[0]), once)


def test_scatter_within_uses_each_class_own_count() -> None:
    """Traps: the global count in place of n_c; a covariance that starts at ones."""
    features, labels = sample(5, 50)
    labels[:40] = 0
    found = ClassStatistics.of(features, labels, CLASSES)
    exact = np.zeros((WIDTH, WIDTH))
    for column in range(4):
        rows = features[labels == column].astype(np.float64)
        if len(rows):
            exact += (rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0))
    assert np.allclose(found.within, exact, atol=1e-10)
    assert not ClassStatistics.empty(WIDTH, CLASSES).scatter.any()


@given(st.integers(0, 99), st.integers(1, 7))
@settings(deadline=None, max_examples=30)
def test_affine_map_equals_mapping_the_examples(seed: int, width: int) -> None:
    features, labels = sample(seed, 30)
    draw = np.random.default_rng(seed + 1)
    matrix, offset = draw.normal(size=(WIDTH, width)), draw.normal(size=width)
    moved = ClassStatistics.of(features, labels, CLASSES).affine(matrix, offset)
    exact = ClassStatistics.of(features.astype(np.float64) @ matrix + offset, labels, CLASSES)
    assert_same(moved, exact)


def test_select_keeps_order_means_and_pooled_covariance() -> None:
    whole = stats(6, 60)
    chosen = whole.select([CLASSES[3], CLASSES[1]])
    assert chosen.classes == (CLASSES[3], CLASSES[1])
    assert np.array_equal(chosen.sums, whole.sums[[3, 1]])
    assert np.allclose(chosen.within / chosen.freedom, whole.within / whole.freedom, atol=1e-12)


def test_select_of_single_example_classes_has_no_spread() -> None:
    lone = ClassStatistics.of(np.eye(4, WIDTH), np.arange(4), CLASSES).select(CLASSES[:2])
    assert lone.freedom == 0
    assert np.allclose(lone.within, 0)


def test_relabel_renames_and_unites() -> None:
    whole = stats(7, 40)
    united = whole.relabel({CLASSES[0]: CLASSES[1], CLASSES[2]: "news/football"})
    assert united.classes == (CLASSES[1], "news/football", CLASSES[3])
    assert np.array_equal(united.sums[0], whole.sums[0] + whole.sums[1])
    assert united.total == whole.total
    assert np.array_equal(united.scatter, whole.scatter)


def test_extend_appends_only_what_is_missing() -> None:
    whole = stats(8, 10).extend(["zoo/cat", CLASSES[0], "zoo/cat"])
    assert whole.classes == (*CLASSES, "zoo/cat")
    assert whole.counts[-1] == 0


def test_tensors_round_trip() -> None:
    whole = stats(9, 20)
    back = ClassStatistics.load(whole.tensors(), whole.metadata())
    assert back.classes == whole.classes
    assert_same(back, whole)
    assert {tensor.dtype for tensor in whole.tensors().values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("features", "labels", "said"),
    [
        (np.zeros((2, WIDTH)), np.array([0, 4]), r"0…3; got 0…4"),
        (np.zeros((2, WIDTH)), np.array([-1, 0]), r"0…3; got -1…0"),
        (np.zeros((2, WIDTH)), np.array([0]), r"\(2, 5\) and \(1,\)"),
        (np.zeros(WIDTH), np.array([0]), r"features must be \(N, D\)"),
        (np.full((2, WIDTH), np.nan), np.array([0, 1]), "row 0"),
        (np.zeros((1, WIDTH)), np.array([0.5]), "must be integers"),
    ],
)
def test_bad_rows_are_refused(features: np.ndarray, labels: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClassStatistics.of(features, labels, CLASSES)


def test_bad_algebra_is_refused() -> None:
    whole = stats(10, 12)
    with pytest.raises(ValueError, match="more examples of"):
        whole - whole - whole
    with pytest.raises(ValueError, match=r"not here: \['x/a'\]"):
        whole - ClassStatistics.of(np.ones((1, WIDTH)), np.array([0]), ("x/a",))
    with pytest.raises(ValueError, match="unknown classes"):
        whole.select(["x/a"])
    with pytest.raises(ValueError, match="more than once"):
        ClassStatistics.empty(WIDTH, ("a/b", "a/b"))
    with pytest.raises(ValueError, match="width 5"):
        whole.affine(np.eye(3), np.zeros(3))
