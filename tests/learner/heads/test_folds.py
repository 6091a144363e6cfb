"""Stratified folds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.heads.folds import Folds


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(2, 5), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_folds_are_balanced_and_leave_no_class_empty(
    sizes: list[int], count: int, seed: int
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    folds = Folds.stratified(labels, count, seed, most=1000)
    several = np.array(sizes)[labels] > 1
    assert np.array_equal(folds.judged, np.flatnonzero(several))
    asked = [fold.asked for fold in folds]
    assert sorted(np.concatenate(asked).tolist() if asked else []) == folds.judged.tolist()
    for fold in folds:
        assert set(labels[fold.kept]) == set(range(len(sizes)))
        assert sorted([*fold.kept, *fold.left_out]) == list(range(len(labels)))
        out = np.bincount(labels[fold.left_out], minlength=len(sizes))
        assert all(abs(n - size / count) < 1 for n, size in zip(out, sizes, strict=True) if n)
        assert np.array_equal(folds.judged[fold.places], fold.asked)


def test_equal_classes_lose_equally_many_rows_in_every_fold() -> None:
    labels = np.tile(np.arange(7), 5)
    for fold in Folds.stratified(labels, 3, 0, most=1000):
        assert len(set(np.bincount(labels[fold.left_out], minlength=7))) == 1


def test_at_most_so_many_rows_judge_but_whole_folds_are_left_out() -> None:
    labels = np.repeat(np.arange(10), 30)
    folds = Folds.stratified(labels, 3, 0, most=50)
    assert len(folds.judged) == 50
    assert sum(len(fold.left_out) for fold in folds) == 300


def test_the_same_seed_gives_the_same_folds() -> None:
    labels = np.repeat(np.arange(10), 6)
    first, second, other = (Folds.stratified(labels, 3, seed, 1000) for seed in (1, 1, 2))
    assert np.array_equal(first.of_row, second.of_row)
    assert not np.array_equal(first.of_row, other.of_row)
