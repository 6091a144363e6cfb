"""Ridge regression on random features."""

import numpy as np
import pytest

from learner.heads.folds import Folds
from learner.heads.projected import project
from learner.heads.ridge import PENALTIES, fit_ridge, random_projection

WIDTH, CLASSES = 6, 3


def sample(size: int, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, size)
    means = 2 * np.eye(CLASSES, WIDTH)
    return (means[labels] + noise * draw.normal(size=(size, WIDTH))).astype(np.float32), labels


def folds(labels: np.ndarray) -> Folds:
    return Folds.stratified(labels, 3, 0, 1000)


@pytest.mark.parametrize("size", [40, 90], ids=["dual", "primal"])
def test_weights_solve_the_normal_equations(size: int) -> None:
    features, labels = sample(size)
    projection = random_projection(WIDTH, 64, 0)
    fit = fit_ridge(features, labels, CLASSES, projection, folds(labels), 0.15)
    hidden = project(features, projection).astype(np.float64)
    ridge = 0.15 * (hidden**2).sum() / size
    exact = np.linalg.solve(
        hidden.T @ hidden + ridge * np.eye(64), hidden.T @ np.eye(CLASSES)[labels]
    )
    assert np.allclose(fit.head.weights, exact, atol=2e-4 * np.abs(exact).max())


@pytest.mark.parametrize("size", [40, 90], ids=["dual", "primal"])
def test_held_out_scores_are_those_of_a_fit_without_the_fold(size: int) -> None:
    features, labels = sample(size)
    projection, split = random_projection(WIDTH, 64, 0), folds(labels)
    found = fit_ridge(features, labels, CLASSES, projection, split, 0.15).held_out
    hidden = project(features, projection).astype(np.float64)
    ridge = 0.15 * (hidden**2).sum() / size
    for fold in split:
        kept = hidden[fold.kept]
        gram = kept.T @ kept + ridge * np.eye(64)
        weights = np.linalg.solve(gram, kept.T @ np.eye(CLASSES)[labels[fold.kept]])
        assert np.allclose(found[fold.places], hidden[fold.asked] @ weights, atol=1e-3)


def test_noisy_features_ask_for_a_larger_penalty() -> None:
    projection = random_projection(WIDTH, 256, 0)
    penalties = []
    for noise in (0.1, 5.0):
        features, labels = sample(120, noise)
        fit = fit_ridge(features, labels, CLASSES, projection, folds(labels))
        penalties.append(fit.penalty)
    assert penalties[0] < penalties[1]
    assert set(penalties) <= set(PENALTIES)


def test_without_judging_rows_the_first_penalty_is_taken() -> None:
    features = np.eye(CLASSES, WIDTH, dtype=np.float32)
    labels = np.arange(CLASSES)
    fit = fit_ridge(features, labels, CLASSES, random_projection(WIDTH, 64, 0), folds(labels))
    assert fit.penalty == PENALTIES[0]
    assert fit.held_out.shape == (0, CLASSES)
    assert np.array_equal(fit.head.log_posteriors(features).argmax(axis=1), labels)


def test_duplicated_and_constant_rows_stay_finite() -> None:
    features, labels = sample(30)
    projection = random_projection(WIDTH, 256, 0)
    for rows in (np.repeat(features[:3], 10, axis=0), 0 * features, np.ones_like(features)):
        fit = fit_ridge(rows, labels, CLASSES, projection, folds(labels))
        assert np.isfinite(fit.head.weights).all()
        assert np.isfinite(fit.held_out).all()


def test_a_seed_names_one_projection() -> None:
    first = random_projection(3, 4, 7)
    assert np.array_equal(first, random_projection(3, 4, 7))
    assert not np.array_equal(first, random_projection(3, 4, 8))
    assert first.dtype == np.float32
