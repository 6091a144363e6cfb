"""Heads that choose their view: the better one is found, taken over by a refit, and stored."""

from typing import Any

import numpy as np
import pytest

from learner.heads import FittedViewed, HeadConfig, ViewedHead, fit_viewed, split_tensors
from learner.sight import Seen
from learner.view import View

CLASSES = ["a", "b", "c", "d"]
DEPTH, WIDTH = 7, 16


def config(**settings: Any) -> HeadConfig:
    return HeadConfig(projection=128, **settings)


def told_by(layers: tuple[int, ...], rows: int, seed: int) -> tuple[Seen, np.ndarray]:
    """Unit states that are noise in all layers but these."""
    draw = np.random.default_rng(seed)
    labels = np.arange(rows) % len(CLASSES)
    states = draw.normal(size=(rows, DEPTH, WIDTH))
    means = 1.2 * np.random.default_rng(9).normal(size=(len(CLASSES), DEPTH, WIDTH))
    for layer in layers:
        states[:, layer] += means[labels, layer]
    states /= np.linalg.norm(states, axis=2, keepdims=True)
    return Seen(states.astype(np.float32)), labels


def matching(rows: int, seed: int) -> tuple[Seen, np.ndarray]:
    """Pairs that are alike or not; the states of both together say nothing."""
    draw = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    states = draw.normal(size=(rows, DEPTH, WIDTH)).astype(np.float32) / WIDTH**0.5
    pair = draw.normal(size=(rows, 2, WIDTH)).astype(np.float32) / WIDTH**0.5
    pair[labels == 1, 1] = pair[labels == 1, 0]
    return Seen(states, pair), labels


def accuracy(fitted: FittedViewed, seen: Seen, labels: np.ndarray) -> float:
    return float((fitted.head.log_posteriors(seen).argmax(axis=1) == labels).mean())


@pytest.mark.parametrize(
    ("layers", "view"),
    [((6,), (6,)), ((4,), (4, 5, 6)), ((1, 2), tuple(range(7)))],
)
def test_auto_looks_where_the_classes_are_told_apart(
    layers: tuple[int, ...], view: tuple[int, ...]
) -> None:
    fitted = fit_viewed(*told_by(layers, 240, 0), CLASSES, config())
    assert fitted.view == View(view)
    assert accuracy(fitted, *told_by(layers, 240, 1)) > 0.7
    assert fitted.quality is not None
    assert fitted.held_out is not None
    assert fitted.held_out.shape == (240, 4)


def test_views_that_tell_nothing_apart_leave_the_simplest() -> None:
    assert fit_viewed(*told_by((), 240, 0), CLASSES, config()).view == View((6,))


def test_pairs_are_looked_at_apart_where_that_helps() -> None:
    fitted = fit_viewed(*matching(200, 0), CLASSES[:2], config())
    assert fitted.view.apart
    assert accuracy(fitted, *matching(200, 1)) > 0.9
    joined = fit_viewed(*matching(200, 0), CLASSES[:2], config(pairs="joined"))
    assert not joined.view.apart
    assert accuracy(joined, *matching(200, 1)) < 0.65


def test_the_config_names_the_view() -> None:
    seen, labels = told_by((6,), 80, 0)
    assert fit_viewed(seen, labels, CLASSES, config(views="all")).view == View(tuple(range(7)))
    with pytest.raises(ValueError, match="views must be one of auto, last"):
        config(views="middle")


def test_a_refit_takes_over_view_kind_and_calibration() -> None:
    seen, labels = told_by((4,), 240, 0)
    for kind in ("lda", "ridge", "logistic", "mixture", "nearest"):
        first = fit_viewed(seen.take(range(200)), labels[:200], CLASSES, config(kind=kind))
        again = fit_viewed(seen, labels, CLASSES, config(), warm=first)
        assert (again.view, again.chosen, again.rows) == (first.view, kind, 200)
        assert again.quality is first.quality
        assert accuracy(again, *told_by((4,), 240, 1)) > 0.7


def test_a_refit_knows_classes_that_are_new() -> None:
    seen, labels = told_by((4,), 240, 0)
    early = np.flatnonzero(labels < 3)
    first = fit_viewed(seen.take(early), labels[early], CLASSES[:3], config())
    again = fit_viewed(seen, labels, CLASSES, config(), warm=first)
    assert again.quality is first.quality
    asked, own = told_by((4,), 240, 1)
    assert accuracy(again, asked.take(np.flatnonzero(own == 3)), own[own == 3]) > 0.5


def test_a_choice_is_made_anew_where_the_rows_have_grown_by_half_or_the_config_differs() -> None:
    seen, labels = told_by((4,), 240, 0)
    first = fit_viewed(seen.take(range(40)), labels[:40], CLASSES, config(kind="lda", views="last"))
    assert first.view == View((6,))
    assert fit_viewed(seen, labels, CLASSES, config(), warm=first).view == View((4, 5, 6))
    other = fit_viewed(seen.take(range(44)), labels[:44], CLASSES, config(views="all"), warm=first)
    assert other.rows == 44


def test_only_judges_say_how_good_a_head_is() -> None:
    seen, labels = told_by((6,), 240, 0)
    judges = np.arange(240) < 60
    wrong = np.where(judges, labels, (labels + 1) % 4)  # all others mislead
    fitted = fit_viewed(seen, wrong, CLASSES, config(), judges=judges)
    assert fitted.quality is not None
    assert fitted.quality.rows == 60
    every = fit_viewed(seen, wrong, CLASSES, config()).quality
    assert every is not None
    assert every.rows == 240
    assert fitted.quality.accuracy < every.accuracy - 0.2


@pytest.mark.parametrize("kind", ["lda", "ridge", "mixture"])
def test_storage_holds_no_projection_and_makes_it_again(kind: Any) -> None:
    seen, labels = told_by((4,), 80, 0)
    head = fit_viewed(seen, labels, CLASSES, config(kind=kind, seed=3)).head.restrict([2, 0])
    tensors, metadata = head.tensors(), head.metadata()
    assert not any("projection" in name for name in tensors)
    back = ViewedHead.load(tensors, metadata)
    assert back.view == head.view
    assert np.array_equal(back.log_posteriors(seen), head.log_posteriors(seen))
    if kind != "lda":
        with pytest.raises(ValueError, match="comes out differently"):
            ViewedHead.load(tensors, {**metadata, "projection": "[48, 128, 3, 1]"})


def test_a_head_stored_before_there_were_views_looks_at_the_last_layer() -> None:
    seen, labels = told_by((6,), 80, 0)
    viewed = fit_viewed(seen, labels, CLASSES, config(kind="mixture", views="last")).head
    own, projection = split_tensors(viewed.head.tensors())
    back = ViewedHead.load(own, viewed.head.metadata(), projection)
    assert np.array_equal(back.log_posteriors(seen), viewed.log_posteriors(seen))
