"""Multinomial logistic regression."""

import numpy as np

from learner.heads.folds import Folds
from learner.heads.head import log_softmax
from learner.heads.linear import LinearHead
from learner.heads.logistic import fit_logistic, held_out_logistic

WIDTH, CLASSES = 5, 4


def sample(size: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, size)
    means = np.random.default_rng(1).normal(size=(CLASSES, WIDTH))
    return (means[labels] + draw.normal(size=(size, WIDTH))).astype(np.float32), labels


def gradient(head: LinearHead, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of Σ −log p + |W|²/(2·20), written out."""
    wrong = np.exp(log_softmax(head.scores(features))) - np.eye(CLASSES)[labels]
    return np.vstack([features.T @ wrong + head.weights / 20, wrong.sum(axis=0)])


def test_the_fit_is_the_stationary_point() -> None:
    features, labels = sample()
    head = fit_logistic(features, labels, CLASSES, 20.0, 200)
    start = LinearHead(np.zeros_like(head.weights), np.zeros_like(head.bias))
    size = np.abs(gradient(start, features, labels)).max()
    assert np.abs(gradient(head, features, labels)).max() < 2e-3 * size


def test_a_warm_start_ends_at_the_same_optimum() -> None:
    features, labels = sample()
    cold = fit_logistic(features, labels, CLASSES, 20.0, 200)
    draw = np.random.default_rng(2)
    away = LinearHead(
        draw.normal(size=(WIDTH, CLASSES)).astype(np.float32), np.ones(CLASSES, np.float32)
    )
    warm = fit_logistic(features, labels, CLASSES, 20.0, 200, away)
    again = fit_logistic(features, labels, CLASSES, 20.0, 1, cold)
    for other in (warm, again):
        assert np.allclose(other.log_posteriors(features), cold.log_posteriors(features), atol=0.05)


def test_a_smaller_inverse_penalty_gives_smaller_weights() -> None:
    features, labels = sample()
    sizes = [np.abs(fit_logistic(features, labels, CLASSES, c).weights).sum() for c in (0.1, 10)]
    assert sizes[0] < 0.5 * sizes[1]


def test_held_out_scores_are_those_of_a_fit_without_the_fold() -> None:
    features, labels = sample()
    folds = Folds.stratified(labels, 3, 0, 1000)
    found = held_out_logistic(features, labels, CLASSES, folds)
    for fold in folds:
        head = fit_logistic(features[fold.kept], labels[fold.kept], CLASSES, iterations=15)
        assert np.allclose(found[fold.places], head.scores(features[fold.asked]), atol=1e-4)


def test_one_class_is_certain() -> None:
    features, _ = sample(5)
    head = fit_logistic(features, np.zeros(5, np.intp), 1)
    assert np.array_equal(head.log_posteriors(features), np.zeros((5, 1)))
