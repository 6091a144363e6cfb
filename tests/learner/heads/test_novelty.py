"""Novelty: quantiles of relative Mahalanobis distance."""

import numpy as np
import pytest
from safetensors.numpy import load, save

from learner.heads.covariance import Spread
from learner.heads.novelty import Novelty, fit_novelty
from learner.statistics import ClassStatistics

WIDTH, CLASSES = 12, 6
NAMES = tuple(f"task/{c}" for c in range(CLASSES))


def sample(per_class: int, seed: int, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    means = 2 * np.random.default_rng(7).normal(size=(2 * CLASSES, WIDTH))
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    noise = draw.normal(size=(len(labels), WIDTH)) * np.linspace(0.3, 1.2, WIDTH)
    return (means[labels] + noise).astype(np.float32), labels


def fitted(per_class: int = 20) -> Novelty:
    features, labels = sample(per_class, 0)
    novelty = fit_novelty(features, labels, ClassStatistics.of(features, labels, NAMES))
    assert novelty is not None
    return novelty


def test_unknown_classes_are_novel_and_known_ones_typical() -> None:
    novelty = fitted()
    features, labels = sample(40, 1, 2 * CLASSES)
    found = novelty.quantiles(features)
    known, unknown = found[labels < CLASSES], found[labels >= CLASSES]
    assert 0.3 < known.mean() < 0.6
    assert unknown.mean() > 0.95
    assert found.min() >= 0
    assert found.max() == 1
    assert found.dtype == np.float32


def test_quantiles_of_known_classes_are_uniform_enough() -> None:
    """A threshold of q on novelty refuses about a share 1 − q of what is known."""
    found = fitted(60).quantiles(sample(200, 2)[0])
    for threshold in (0.25, 0.5, 0.75, 0.95):
        assert (found < threshold).mean() == pytest.approx(threshold, abs=0.06)


def precision(covariance: np.ndarray) -> np.ndarray:
    isotropic = np.trace(covariance) / WIDTH * np.eye(WIDTH)
    return np.linalg.inv(0.7 * covariance + 0.3 * isotropic)


def test_scores_are_relative_mahalanobis_distances() -> None:
    features, labels = sample(20, 0)
    exact = features.astype(np.float64)
    means = np.stack([exact[labels == c].mean(axis=0) for c in range(CLASSES)])
    inside = exact - means[labels]
    within = precision(inside.T @ inside / (len(labels) - CLASSES))
    center = exact.mean(axis=0)
    whole = precision((exact - center).T @ (exact - center) / (len(labels) - 1))
    asked = sample(5, 3)[0]
    apart = asked[:, None] - means
    nearest = np.einsum("ncd,de,nce->nc", apart, within, apart).min(axis=1)
    around = asked - center
    expected = nearest - np.einsum("nd,de,ne->n", around, whole, around)
    assert np.allclose(fitted().scores(asked), expected, atol=1e-2)


def test_leave_one_out_distances_are_those_without_the_row() -> None:
    features, labels = sample(6, 4)
    whole = ClassStatistics.of(features, labels, NAMES)
    found = Spread.of(whole).whitening(0.3).leave_one_out(features, labels)
    for row in range(0, len(labels), 5):
        one = slice(row, row + 1)
        rest = whole - ClassStatistics.of(features[one], labels[one], NAMES)
        white = Spread.of(rest).whitening(0.3)
        apart = (features[row] - white.center) @ white.matrix - white.means
        assert np.allclose(found[row], (apart**2).sum(axis=1), rtol=0.05)


def test_storage_round_trip() -> None:
    novelty = fitted()
    asked = sample(5, 5)[0]
    back = Novelty.load(load(save(novelty.tensors())))
    assert np.array_equal(back.quantiles(asked), novelty.quantiles(asked))


def test_one_class_knows_near_from_far() -> None:
    features, labels = sample(30, 0, 1)
    novelty = fit_novelty(features, labels, ClassStatistics.of(features, labels, NAMES[:1]))
    assert novelty is not None
    asked, own = sample(30, 6, 2)
    found = novelty.quantiles(asked)
    assert found[own == 0].mean() < 0.7
    assert found[own == 1].mean() > 0.95


def test_single_examples_say_nothing() -> None:
    features, labels = sample(1, 0)
    assert fit_novelty(features, labels, ClassStatistics.of(features, labels, NAMES)) is None


def test_degenerate_rows_stay_finite() -> None:
    labels = np.repeat(np.arange(3), 2)
    twins = np.repeat(np.eye(3, WIDTH, dtype=np.float32), 2, axis=0)
    for features in (twins, np.ones_like(twins), np.zeros_like(twins)):
        whole = ClassStatistics.of(features, labels, NAMES[:3])
        novelty = fit_novelty(features, labels, whole)
        assert novelty is not None
        assert np.isfinite(novelty.quantiles(features)).all()


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 12\), got \(2, 3\)"):
        fitted().quantiles(np.zeros((2, 3), np.float32))
