"""Linear discriminant analysis, its shrinkage, and the nearest-mean floor."""

import numpy as np
import pytest

from learner.heads.covariance import Spread, pooled_covariance
from learner.heads.folds import Folds
from learner.heads.lda import SHRINKAGES, fit_lda, held_out_lda
from learner.heads.nearest import fit_nearest, held_out_nearest
from learner.statistics import ClassStatistics

WIDTH, CLASSES = 8, 5
NAMES = tuple(f"task/{letter}" for letter in "abcde")


def sample(per_class: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.repeat(np.arange(CLASSES), per_class))
    means = np.random.default_rng(99).normal(size=(CLASSES, WIDTH))
    noise = draw.normal(size=(len(labels), WIDTH)) * np.linspace(0.2, 1.5, WIDTH)
    return (means[labels] + noise).astype(np.float32), labels


def statistics(per_class: int) -> ClassStatistics:
    return ClassStatistics.of(*sample(per_class), NAMES)


def test_scores_are_the_gaussian_log_likelihoods() -> None:
    """Against the formula written out: −½ (z−μ)ᵀ Σ⁻¹ (z−μ), up to a constant per row."""
    features, labels = sample(12)
    covariance = np.zeros((WIDTH, WIDTH))
    means = np.stack([features[labels == c].mean(axis=0) for c in range(CLASSES)])
    for row, label in zip(features, labels, strict=True):
        covariance += np.outer(row - means[label], row - means[label]) / (60 - CLASSES)
    covariance = 0.8 * covariance + 0.2 * np.trace(covariance) / WIDTH * np.eye(WIDTH)
    apart = features[:, None] - means
    exact = -0.5 * np.einsum("ncd,de,nce->nc", apart, np.linalg.inv(covariance), apart)
    found = fit_lda(statistics(12), 0.2).scores(features)
    gap = found - exact
    assert np.allclose(gap, gap.mean(axis=1, keepdims=True), atol=1e-3)


def test_priors_shift_the_posterior_and_counts_do_not() -> None:
    features, labels = sample(20)
    kept = (labels != 0) | (np.arange(100) < 30)
    uneven = ClassStatistics.of(features[kept], labels[kept], NAMES)
    plain, tilted = (fit_lda(uneven, 0.3, priors) for priors in (None, np.array([4.0, 1, 1, 1, 1])))
    even = fit_lda(uneven, 0.3, np.ones(CLASSES))
    assert np.allclose(plain.bias - plain.bias[0], even.bias - even.bias[0], atol=1e-4)
    assert np.allclose((tilted.bias - plain.bias)[0] - (tilted.bias - plain.bias)[1], np.log(4))
    with pytest.raises(ValueError, match="5 positive numbers"):
        fit_lda(uneven, 0.3, np.array([1.0, 0, 1, 1, 1]))


def test_held_out_scores_are_those_of_a_fit_without_the_fold() -> None:
    features, labels = sample(6)
    whole = ClassStatistics.of(features, labels, NAMES)
    folds = Folds.stratified(labels, 3, 0, 1000)
    lda = held_out_lda(features, labels, whole, folds, (0.1, 0.5))
    nearest = held_out_nearest(features, labels, whole, folds)
    for fold in folds:
        rest = ClassStatistics.of(features[fold.kept], labels[fold.kept], NAMES)
        for scores, shrinkage in zip(lda, (0.1, 0.5), strict=True):
            exact = fit_lda(rest, shrinkage).scores(features[fold.asked])
            assert np.allclose(scores[fold.places], exact, rtol=1e-3, atol=1e-3)
        exact = fit_nearest(rest).scores(features[fold.asked])
        assert np.allclose(nearest[fold.places], exact, atol=1e-5)


def test_oas_shrinks_less_with_more_examples() -> None:
    few, some, many = (Spread.of(statistics(n)).oas_shrinkage() for n in (2, 10, 500))
    assert 1.0 >= few > some > many > 0


def test_one_example_per_class_is_nearest_mean() -> None:
    """Traps: no shrinkage with few shots; a covariance that starts at ones."""
    features, labels = sample(1)
    lone = ClassStatistics.of(features, labels, NAMES)
    covariance = pooled_covariance(lone)
    assert np.allclose(covariance, np.eye(WIDTH) * covariance[0, 0])
    asked, _ = sample(30, seed=5)
    apart = ((asked[:, None] - lone.means) ** 2).sum(axis=2)
    assert np.array_equal(fit_lda(lone).scores(asked).argmax(axis=1), apart.argmin(axis=1))


def test_two_rows_in_all_do_not_collapse_the_covariance() -> None:
    """Trap: per-class covariances collapse in few-shot; N ≤ C leaves almost nothing to pool."""
    features = np.array([[1, 0], [1, 0.1], [0, 1]], np.float32)
    head = fit_lda(ClassStatistics.of(features, np.array([0, 0, 1]), NAMES[:2]))
    assert np.array_equal(head.log_posteriors(features).argmax(axis=1), [0, 0, 1])
    assert np.isfinite(head.weights).all()


@pytest.mark.parametrize("fit", [fit_lda, fit_nearest])
def test_one_class_and_constant_features(fit) -> None:  # type: ignore[no-untyped-def]
    rows = np.full((4, WIDTH), 0.5, np.float32)
    one = fit(ClassStatistics.of(rows, np.zeros(4, int), NAMES[:1]))
    assert np.array_equal(np.exp(one.log_posteriors(rows)), np.ones((4, 1)))
    two = fit(ClassStatistics.of(rows, np.array([0, 1, 0, 1]), NAMES[:2]))
    assert np.allclose(np.exp(two.log_posteriors(rows)), 0.5, atol=1e-5)
    zero = fit(ClassStatistics.of(0 * rows, np.array([0, 1, 0, 1]), NAMES[:2]))
    assert np.allclose(np.exp(zero.log_posteriors(rows)), 0.5, atol=1e-5)


@pytest.mark.parametrize("fit", [fit_lda, fit_nearest])
def test_no_class_or_an_empty_class_is_refused(fit) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="no classes"):
        fit(ClassStatistics.empty(WIDTH))
    with pytest.raises(ValueError, match=r"without examples: \['task/b'\]"):
        fit(ClassStatistics.of(np.ones((1, WIDTH)), np.array([0]), NAMES[:2]))


def test_shrinkage_moves_towards_isotropy_and_keeps_the_trace() -> None:
    covariance = pooled_covariance(statistics(20))
    spread = Spread.of(statistics(20))
    for shrinkage in (*SHRINKAGES, 1.0):
        found = np.linalg.inv(spread.whitening(shrinkage).precision)
        isotropic = np.trace(covariance) / WIDTH * np.eye(WIDTH)
        assert np.allclose(found, (1 - shrinkage) * covariance + shrinkage * isotropic)


def test_nearest_is_the_cosine_whatever_the_counts() -> None:
    features, labels = sample(15)
    labels = np.where(np.arange(75) < 60, 0, labels)
    head = fit_nearest(ClassStatistics.of(features, labels, NAMES))
    means = np.stack([features[labels == c].mean(axis=0) for c in range(CLASSES)])
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert np.allclose(head.scores(features), features @ unit.T, atol=1e-5)
