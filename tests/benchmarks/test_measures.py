import numpy as np
import pytest

from benchmarks.measures import (
    average_incremental_accuracy,
    backward_transfer,
    dataset_accuracy,
    feature_drift,
    final_accuracy,
    forgetting,
    spread,
)

NAN = np.nan
MATRIX = np.array([[0.9, 0.8, 0.6], [NAN, 0.7, 0.8], [NAN, NAN, 1.0]])


def test_final_accuracy_is_the_mean_of_the_last_column() -> None:
    assert final_accuracy(MATRIX) == pytest.approx(0.8)


def test_average_incremental_accuracy_looks_only_at_tasks_seen_so_far() -> None:
    assert average_incremental_accuracy(MATRIX) == pytest.approx((0.9 + 0.75 + 0.8) / 3)


def test_forgetting_is_best_minus_final_without_the_last_task() -> None:
    assert forgetting(MATRIX) == pytest.approx((0.3 + 0.0) / 2)
    assert forgetting(np.array([[0.5]])) == 0.0


def test_backward_transfer_is_final_minus_just_learnt() -> None:
    assert backward_transfer(MATRIX) == pytest.approx((-0.3 + 0.1) / 2)
    assert backward_transfer(np.array([[0.5]])) == 0.0


def test_each_data_set_weighs_the_same() -> None:
    assert dataset_accuracy(MATRIX, ["a", "a", "b"]) == pytest.approx((0.7 + 1.0) / 2)


def test_drift_is_movement_as_a_share_of_scatter() -> None:
    features = np.array([[1, 0], [-1, 0], [0, 2], [0, -2]], np.float32)
    assert feature_drift(features, features) == 0.0
    assert feature_drift(features, features + np.float32(1)) == pytest.approx(8 / 10)


def test_spread_of_one_value_is_zero() -> None:
    assert spread([0.5]) == (0.5, 0.0)
    assert spread([0.0, 1.0]) == pytest.approx((0.5, 0.70710678))
