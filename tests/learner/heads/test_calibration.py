"""Temperatures, pool weights and the measures of held-out posteriors."""

import numpy as np
import pytest

from learner.heads.calibration import (
    Quality,
    expected_calibration_error,
    fit_temperature,
    fit_weights,
)
from learner.heads.head import log_softmax


def drawn(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels drawn from softmax(scores)."""
    noise = np.random.default_rng(seed).gumbel(size=scores.shape)
    return np.asarray((scores + noise).argmax(axis=1))


def scores(size: int = 4000, classes: int = 10, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (size, classes)).astype(np.float32)


@pytest.mark.parametrize("factor", [0.001, 0.2, 1.0, 30.0])
def test_the_temperature_that_made_the_labels_is_found(factor: float) -> None:
    true = scores()
    found = fit_temperature(np.float32(factor) * true, drawn(true))
    assert found == pytest.approx(factor, rel=0.06)


def test_the_temperature_minimises_the_loss() -> None:
    rows, labels = scores(300), drawn(scores(300))
    best = fit_temperature(rows, labels)

    def loss(temperature: float) -> float:
        return Quality.of(log_softmax(rows / np.float32(temperature)), labels).nll

    assert loss(best) <= min(loss(best * 0.9), loss(best * 1.1))


def test_a_few_right_rows_do_not_make_certain() -> None:
    rows = np.eye(3, dtype=np.float32)
    temperature = fit_temperature(rows, np.arange(3))
    confidence = np.exp(log_softmax(rows / np.float32(temperature))).max()
    assert confidence == pytest.approx(4 / 5, abs=0.01)  # (N + 1) / (N + 2)


def test_misleading_scores_end_almost_uniform() -> None:
    rows = np.eye(4, dtype=np.float32)[np.zeros(50, int)]
    temperature = fit_temperature(rows, np.full(50, 2))
    assert np.exp(log_softmax(rows / np.float32(temperature))).max() < 0.3


@pytest.mark.parametrize(
    "rows", [np.empty((0, 3), np.float32), np.ones((4, 1), np.float32), np.ones((4, 3), np.float32)]
)
def test_scores_that_say_nothing_leave_the_temperature_at_one(rows: np.ndarray) -> None:
    assert fit_temperature(rows, np.zeros(len(rows), int)) == 1.0


def test_weights_of_a_pool_are_found_and_never_negative() -> None:
    left, right = scores(6000, seed=1), scores(6000, seed=2)
    labels = drawn(0.7 * left + 0.2 * right)
    assert np.allclose(fit_weights(np.stack([left, right]), labels), [0.7, 0.2], atol=0.04)
    useless = fit_weights(np.stack([left, -left + 0.1 * right]), drawn(left))
    assert (useless >= 0).all()
    assert fit_weights(np.stack([left, -right]), drawn(left + right))[1] == 0


def test_twins_in_a_pool_share_the_weight() -> None:
    rows = scores()
    found = fit_weights(np.stack([rows, rows]), drawn(rows))
    assert found.sum() == pytest.approx(1.0, abs=0.05)


def test_calibration_error() -> None:
    confidence = np.full(100, 0.8, np.float32)
    right = np.arange(100) < 80
    assert expected_calibration_error(confidence, right) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(confidence, right & False) == pytest.approx(0.8, abs=1e-6)
    assert expected_calibration_error(np.ones(10, np.float32), np.ones(10, bool)) == 0


def test_quality_of_log_posteriors() -> None:
    posteriors = np.log(np.array([[0.9, 0.1], [0.6, 0.4]], np.float32))
    found = Quality.of(posteriors, np.array([0, 1]))
    assert found.accuracy == 0.5
    assert found.nll == pytest.approx(-(np.log(0.9) + np.log(0.4)) / 2, abs=1e-5)
    assert found.ece == pytest.approx((0.1 + 0.6) / 2, abs=1e-5)
    assert found.rows == 2
