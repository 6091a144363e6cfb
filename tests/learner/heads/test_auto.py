"""Fitting the best head: every kind works, the better one is chosen, odd inputs are survived."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from learner.heads import Head, MixtureHead
from learner.heads.auto import FittedHead, fit_head
from learner.heads.config import HeadConfig, Kind

KINDS: tuple[Kind, ...] = ("lda", "ridge", "logistic", "nearest", "mixture")
SMALL = 512  # random features: enough here, and quick


def config(kind: Kind = "auto", **settings: Any) -> HeadConfig:
    return HeadConfig(kind=kind, projection=SMALL, **settings)


def names(count: int) -> list[str]:
    return [f"task/{place}" for place in range(count)]


def blobs(per_class: int, seed: int, classes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors round class means, as a backbone's features are."""
    means = np.random.default_rng(3).normal(size=(classes, 24))
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.repeat(np.arange(classes), per_class))
    rows = means[labels] + draw.normal(size=(len(labels), 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def stretched(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Class means in small directions, noise mostly in large ones: made for LDA."""
    means = 0.5 * np.random.default_rng(4).normal(size=(10, 20))
    means[:, 10:] = 0
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), per_class)
    scale = np.concatenate([np.full(10, 0.3), np.full(10, 3.0)])
    return (means[labels] + scale * draw.normal(size=(len(labels), 20))).astype(np.float32), labels


def quadrants(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The sign of a product: no head that is linear in the features can tell."""
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(2 * per_class, 4)).astype(np.float32)
    return rows, (rows[:, 0] * rows[:, 1] > 0).astype(int)


def accuracy(head: Head, features: np.ndarray, labels: np.ndarray) -> float:
    return float((head.log_posteriors(features).argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_every_kind_beats_chance_clearly_and_is_calibrated(kind: Kind) -> None:
    fitted = fit_head(*blobs(12, 0), names(8), config(kind))
    features, labels = blobs(100, 1)
    assert accuracy(fitted.head, features, labels) > 0.75
    own = fitted.head.log_posteriors(features)[np.arange(800), labels]
    assert -own.mean() < 0.9  # chance: log 8 = 2.1
    assert fitted.quality is not None
    assert fitted.quality.accuracy == pytest.approx(
        accuracy(fitted.head, features, labels), abs=0.1
    )
    assert fitted.quality.ece < 0.2
    assert fitted.chosen == kind or kind == "auto"


def test_auto_takes_the_linear_discriminant_where_it_is_better() -> None:
    train, asked = stretched(15, 0), stretched(100, 1)
    fitted = fit_head(*train, names(10), config())
    assert fitted.chosen == "lda"
    ridge = fit_head(*train, names(10), config("ridge"))
    assert accuracy(fitted.head, *asked) > accuracy(ridge.head, *asked) + 0.1


def test_auto_takes_random_features_where_classes_are_not_linear() -> None:
    train, asked = quadrants(150, 0), quadrants(500, 1)
    fitted = fit_head(*train, names(2), config())
    assert fitted.chosen in ("ridge", "mixture")
    assert accuracy(fitted.head, *asked) > 0.85
    assert accuracy(fit_head(*train, names(2), config("lda")).head, *asked) < 0.65


def test_auto_reports_every_kind_it_tried() -> None:
    fitted = fit_head(*blobs(8, 0), names(8), config())
    assert set(fitted.qualities) == {"lda", "ridge", "logistic", "mixture"}
    assert fitted.quality is fitted.qualities[fitted.chosen]


def test_auto_leaves_logistic_out_where_it_would_take_too_long() -> None:
    fitted = fit_head(*blobs(8, 0), names(8), config(logistic_limit=100))
    assert set(fitted.qualities) == {"lda", "ridge"}


def test_the_same_rows_give_the_same_head() -> None:
    first, second = (fit_head(*blobs(8, 0), names(8), config()).head for _ in range(2))
    for name, tensor in first.tensors().items():
        assert np.array_equal(tensor, second.tensors()[name])


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_rows_does_not_matter_much(kind: Kind) -> None:
    """Unsorted labels are the usual case; folds differ, so temperatures may a little."""
    features, labels = blobs(10, 0)
    order = np.argsort(labels, kind="stable")
    first = fit_head(features, labels, names(8), config(kind)).head
    second = fit_head(features[order], labels[order], names(8), config(kind)).head
    asked, _ = blobs(50, 1)
    same = first.log_posteriors(asked).argmax(1) == second.log_posteriors(asked).argmax(1)
    assert same.mean() > 0.95


def test_a_warm_start_changes_nothing_but_the_way() -> None:
    features, labels = blobs(10, 0)
    early = labels < 6
    before = fit_head(features[early], labels[early], names(6), config("logistic"))
    cold = fit_head(features, labels, names(8), config("logistic", iterations=100))
    warm = fit_head(features, labels, names(8), config("logistic", iterations=100), before)
    asked, _ = blobs(50, 1)
    gap = warm.head.log_posteriors(asked) - cold.head.log_posteriors(asked)
    assert np.abs(gap).max() < 0.1
    other = FittedHead(before.head, before.classes, "lda")
    again = fit_head(features, labels, names(8), config("logistic", iterations=100), other)
    assert np.array_equal(again.head.log_posteriors(asked), cold.head.log_posteriors(asked))


@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_one_class_is_certain(kind: Kind) -> None:
    features, _ = blobs(2, 0)
    fitted = fit_head(features, np.zeros(16, int), names(1), config(kind))
    assert np.allclose(np.exp(fitted.head.log_posteriors(features)), 1)


@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_one_example_per_class(kind: Kind) -> None:
    fitted = fit_head(*blobs(1, 0), names(8), config(kind))
    assert fitted.quality is None
    found = fitted.head.log_posteriors(blobs(1, 0)[0])
    assert np.array_equal(found.argmax(axis=1), blobs(1, 0)[1])
    assert accuracy(fitted.head, *blobs(100, 1)) > 0.4


@pytest.mark.parametrize("kind", [*KINDS, "auto"])
def test_constant_and_duplicated_rows(kind: Kind) -> None:
    labels = np.tile(np.arange(3), 4)
    twins = np.tile(np.eye(3, 6, dtype=np.float32), (4, 1))
    fitted = fit_head(twins, labels, names(3), config(kind))
    assert accuracy(fitted.head, twins, labels) == 1
    for rows in (np.ones_like(twins), np.zeros_like(twins)):
        flat = fit_head(rows, labels, names(3), config(kind)).head.log_posteriors(rows)
        assert np.allclose(np.exp(flat), 1 / 3, atol=0.02)


def test_a_class_with_one_example_beside_larger_ones() -> None:
    features, labels = blobs(10, 0)
    kept = (labels != 7) | (np.cumsum(labels == 7) == 1)
    asked, own = blobs(100, 1)
    right = []
    for seed in range(5):
        fitted = fit_head(features[kept], labels[kept], names(8), config(seed=seed))
        assert fitted.quality is not None
        assert fitted.quality.rows == 70
        right.append(accuracy(fitted.head, asked[own == 7], own[own == 7]))
    assert np.mean(right) > 0.25  # one in eight by chance


@pytest.mark.parametrize("kind", ["auto", "ridge"])
def test_three_thousand_classes_of_one_example_in_bounded_memory(kind: Kind) -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(3000, 96)).astype(np.float32)
    labels = draw.permutation(3000)
    tracemalloc.start()
    head = fit_head(features, labels, names(3000), config(kind)).head
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400e6
    assert accuracy(head, features[:100], labels[:100]) > 0.9


def test_what_cannot_be_fitted_is_refused() -> None:
    features, labels = blobs(2, 0)
    with pytest.raises(ValueError, match="no classes"):
        fit_head(np.empty((0, 4), np.float32), np.empty(0, int), [])
    with pytest.raises(ValueError, match=r"without examples: \['task/0'\]"):
        fit_head(np.empty((0, 4), np.float32), np.empty(0, int), names(1))
    with pytest.raises(ValueError, match=r"without examples: \['task/8'\]"):
        fit_head(features, labels, names(9))
    with pytest.raises(ValueError, match="0…2"):
        fit_head(features, labels, names(3))


def test_a_mixture_holds_one_projection() -> None:
    fitted = fit_head(*blobs(6, 0), names(8), config("mixture"))
    assert isinstance(fitted.head, MixtureHead)
    assert sum("projection" in name for name in fitted.head.tensors()) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "forest"}, "kind must be one of auto, lda"),
        ({"projection": 0}, "projection must be at least 1"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"penalty": 0.0}, "penalty must be at least"),
        ({"shrinkage": 1.5}, "shrinkage must be"),
        ({"inverse_penalty": 0.0}, "inverse_penalty must be above 0"),
    ],
)
def test_settings_that_make_no_head_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HeadConfig(**settings)
