"""Heads that choose their view: the better one is found, taken over by a refit, and stored."""

from typing import Any

import numpy as np
import pytest

from learner.heads import FittedViewed, HeadConfig, ProjectedHead, ViewedHead, fit_viewed
from learner.heads.calibration import Quality
from learner.heads.passed import Passed
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


@pytest.mark.parametrize("layers", [(6,), (4,), (2, 4)])
def test_auto_sees_where_the_classes_are_told_apart(layers: tuple[int, ...]) -> None:
    fitted = fit_viewed(*told_by(layers, 240, 0), CLASSES, config())
    assert accuracy(fitted, *told_by(layers, 240, 1)) > 0.7
    assert fitted.quality is not None
    assert fitted.quality.rows == 240


def test_a_mixture_pools_spread_layers_and_the_last() -> None:
    seen, labels = told_by((6,), 240, 0)
    head = fit_viewed(seen, labels, CLASSES, config(kind="mixture")).head
    assert head.views == (View((2, 4, 6)), View((6,)))
    wide, near = (h.log_posteriors(v(seen)) for v, h in zip(head.views, head.heads, strict=True))
    raw = head.weights[0] * wide + head.weights[1] * near
    expected = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(head.log_posteriors(seen), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["ridge", "mixture"])
def test_what_was_held_out_is_what_a_head_was_judged_by(kind: Any) -> None:
    seen, labels = told_by((6,), 240, 0)
    fitted = fit_viewed(seen, labels, CLASSES, config(kind=kind))
    assert fitted.held_out is not None
    assert Quality.of(fitted.held_out, labels) == fitted.quality


def test_a_cooled_head_is_less_sure_and_answers_the_same() -> None:
    seen, labels = told_by((6,), 240, 0)
    for kind in ("lda", "mixture"):
        head = fit_viewed(seen, labels, CLASSES, config(kind=kind)).head
        cooled = head.cooled(2.0).log_posteriors(seen)
        np.testing.assert_allclose(np.exp(cooled).sum(axis=1), 1, atol=1e-5)
        assert (cooled.argmax(axis=1) == head.log_posteriors(seen).argmax(axis=1)).all()
        assert cooled.max(axis=1).mean() < head.log_posteriors(seen).max(axis=1).mean()


def test_pairs_are_looked_at_apart() -> None:
    fitted = fit_viewed(*matching(200, 0), CLASSES[:2], config())
    assert fitted.head.sees_apart
    assert accuracy(fitted, *matching(200, 1)) > 0.9
    joined = fit_viewed(*matching(200, 0), CLASSES[:2], config(pairs="joined"))
    assert not joined.head.sees_apart
    assert accuracy(joined, *matching(200, 1)) < 0.65


def test_the_config_names_the_view() -> None:
    seen, labels = told_by((6,), 80, 0)
    fitted = fit_viewed(seen, labels, CLASSES, config(kind="logistic", views="all"))
    assert fitted.head.views == (View(tuple(range(7))),)
    with pytest.raises(ValueError, match="views must be one of auto, last"):
        config(views="middle")


@pytest.mark.parametrize("kind", ["lda", "ridge", "logistic", "mixture", "nearest"])
def test_a_refit_takes_over_kind_and_calibration(kind: Any) -> None:
    seen, labels = told_by((6,), 240, 0)
    first = fit_viewed(seen.take(range(200)), labels[:200], CLASSES, config(kind=kind))
    again = fit_viewed(seen, labels, CLASSES, config(kind=kind), warm=first)
    assert (again.head.views, again.chosen, again.rows) == (first.head.views, kind, 200)
    assert again.head.weights == first.head.weights
    assert again.quality is first.quality
    assert accuracy(again, *told_by((6,), 240, 1)) > 0.7


def test_a_refit_knows_classes_that_are_new() -> None:
    seen, labels = told_by((4,), 240, 0)
    early = np.flatnonzero(labels < 3)
    first = fit_viewed(seen.take(early), labels[early], CLASSES[:3], config())
    again = fit_viewed(seen, labels, CLASSES, config(), warm=first)
    assert again.quality is first.quality
    asked, own = told_by((4,), 240, 1)
    assert accuracy(again, asked.take(np.flatnonzero(own == 3)), own[own == 3]) > 0.5


def test_a_choice_is_made_anew_where_the_rows_have_grown_by_half() -> None:
    seen, labels = told_by((4,), 240, 0)
    first = fit_viewed(seen.take(range(40)), labels[:40], CLASSES, config())
    assert fit_viewed(seen, labels, CLASSES, config(), warm=first).rows == 240
    assert fit_viewed(seen.take(range(44)), labels[:44], CLASSES, config(), warm=first).rows == 40


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
    assert back.views == head.views
    assert np.array_equal(back.log_posteriors(seen), head.log_posteriors(seen))
    if kind != "lda":
        place = len(head.heads) - 1
        with pytest.raises(ValueError, match="comes out differently"):
            ViewedHead.load(tensors, {**metadata, f"{place}.projection": "[16, 128, 3, 1]"})


def test_rows_of_one_pass_are_answered_by_several_heads_as_alone() -> None:
    seen, labels = told_by((2, 4, 6), 240, 0)
    heads = [
        fit_viewed(seen, labels, CLASSES, config(kind=kind)).head
        for kind in ("ridge", "logistic", "mixture")
    ]
    passed, rows = Passed(seen), ([3, 1], [0], [7, 5, 2])
    for head, some in zip(heads, rows, strict=True):
        alone = head.log_posteriors(seen.take(some))
        assert head.log_posteriors_of(passed, some) == pytest.approx(alone, abs=1e-5)


def test_heads_of_one_process_share_their_projection() -> None:
    seen, labels = told_by((6,), 240, 0)
    heads = [fit_viewed(seen, labels, CLASSES, config(kind="ridge")).head for _ in range(2)]
    heads.append(ViewedHead.load(heads[0].tensors(), heads[0].metadata()))
    members = [head.heads[0] for head in heads]
    assert all(isinstance(member, ProjectedHead) for member in members)
    arrays = {id(m.projection) for m in members if isinstance(m, ProjectedHead)}
    assert len(arrays) == 1
