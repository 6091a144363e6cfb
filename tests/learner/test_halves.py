"""A domain's prompt in two halves, and a trial in which every row judges."""

from __future__ import annotations

import numpy as np
import pytest

from backbones import Input
from backbones.text.backbone import TorchTextBackbone
from learner.domains.rows import halves
from learner.examples import KeptExample
from learner.gate import GateConfig
from learner.heads import HeadConfig
from learner.methods.adapted import DomainPrompt, halves_of
from learner.methods.base import Lesson
from learner.methods.config import AutoConfig
from learner.sight import Seen
from learner.trial import Field, compare_across
from tests.learner.conftest import text

SIMPLE = HeadConfig(kind="ridge", views="last")


def lesson(backbone: TorchTextBackbone, split: bool = True) -> Lesson:
    labels = np.arange(12) % 3
    inputs = [Input(text=text(str(label), i)) for i, label in enumerate(labels.tolist())]
    half = halves(labels) if split else None
    return Lesson("mail", backbone.preprocess(inputs), labels, 3, seed=4, half=half)


def method() -> DomainPrompt:
    return DomainPrompt(AutoConfig(rows=2, epochs=1, minimum_steps=1, maximum_steps=2))


def report(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    assert epoch <= epochs


def states_of(targets: np.ndarray, spread: float, seed: int) -> Seen:
    """Rows around the unit vector of their class."""
    draw = np.random.default_rng(seed)
    rows = np.eye(8)[targets] + spread * draw.normal(size=(len(targets), 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Seen(np.repeat(rows[:, None].astype(np.float32), 2, axis=1))


def field(plain: Seen, targets: np.ndarray) -> Field:
    rows = [
        KeptExample(id=str(i), label=str(c), batch="b", held_out=False)
        for i, c in enumerate(targets.tolist())
    ]
    names = [f"t/{c}" for c in range(int(targets.max()) + 1)]
    return Field(rows, targets, ["t"] * len(rows), names, plain, plain, halves(targets))


def test_halves_alternate_within_each_class_and_leave_out_single_rows() -> None:
    assert halves(np.array([5, 3, 5, 5, 3, 9])).tolist() == [0, 0, 1, 0, 1, -1]


def test_a_part_of_a_lesson_numbers_its_classes_anew(tiny: TorchTextBackbone) -> None:
    whole = lesson(tiny)
    part = whole.only(np.array([2, 4, 5, 1]))
    assert part.labels.tolist() == [1, 0, 1, 0]
    assert part.classes == 2
    assert part.half is None
    expected = tiny.encode(whole.inputs)[[2, 4, 5, 1]]
    np.testing.assert_allclose(tiny.encode(part.inputs), expected, atol=1e-5)


def test_the_served_prompt_is_the_mean_of_both_halves(tiny: TorchTextBackbone) -> None:
    made = method()
    state = made.train(lesson(tiny), made.start(tiny.description), tiny, report)
    first, second = (half.keys_values for half in halves_of(state, "mail"))
    assert not np.array_equal(first, second)
    served = state.snapshots["mail"].keys_values
    np.testing.assert_allclose(served, (first + second) / 2, atol=1e-6)


def test_without_a_split_there_are_no_halves(tiny: TorchTextBackbone) -> None:
    made = method()
    state = made.train(lesson(tiny, split=False), made.start(tiny.description), tiny, report)
    assert "mail" in state.snapshots
    with pytest.raises(KeyError):
        halves_of(state, "mail")


def test_a_half_learns_from_its_own_rows_only(tiny: TorchTextBackbone) -> None:
    """Half 0 leads to the same rows whatever the labels of half 1 say."""
    made, one = method(), lesson(tiny)
    assert one.half is not None
    turned = one.labels.copy()
    others = np.flatnonzero(one.half == 1)
    turned[others] = (turned[others] + 1) % 3
    other = Lesson("mail", one.inputs, turned, 3, seed=4, half=one.half)
    kept, changed = (
        halves_of(made.train(given, made.start(tiny.description), tiny, report), "mail")
        for given in (one, other)
    )
    assert np.array_equal(kept[0].keys_values, changed[0].keys_values)
    assert not np.array_equal(kept[1].keys_values, changed[1].keys_values)


def test_a_candidate_that_separates_better_is_accepted_and_noise_is_refused() -> None:
    targets = np.arange(64) % 4
    plain, better = states_of(targets, 0.6, 1), states_of(targets, 0.05, 2)
    noise = states_of(np.random.default_rng(0).permutation(targets), 0.6, 3)
    good = compare_across(field(plain, targets), (better, better), SIMPLE, GateConfig())
    bad = compare_across(field(plain, targets), (noise, noise), SIMPLE, GateConfig())
    same = compare_across(field(plain, targets), (plain, plain), SIMPLE, GateConfig())
    assert good.verdict.accepted
    assert good.verdict.accuracy["candidate"] > good.verdict.accuracy["live"]
    assert not bad.verdict.accepted
    assert not same.verdict.accepted


def test_no_head_answers_a_row_that_it_was_fitted_on() -> None:
    """In so many dimensions a head knows every row it was fitted on, and nothing of others."""
    targets = np.arange(64) % 4
    draw = np.random.default_rng(0)
    noise = Seen(draw.normal(size=(64, 2, 96)).astype(np.float32))
    trial = compare_across(field(noise, targets), (noise, noise), SIMPLE, GateConfig())
    assert trial.verdict.accuracy["live"] < 0.5
    assert np.mean(trial.head.log_posteriors(noise).argmax(axis=1) == targets) > 0.9


def test_helpful_candidates_pass_and_harmful_ones_do_not() -> None:
    """Of 20 each, with a hundred rows and few dimensions: about what `bench gate` asks of texts."""
    targets = np.arange(96) % 4

    def accepted(spread: float) -> int:
        return sum(
            compare_across(
                field(states_of(targets, 0.6, seed), targets),
                (states_of(targets, spread, seed), states_of(targets, spread, seed + 100)),
                HeadConfig(kind="lda", views="last"),
                GateConfig(),
            ).verdict.accepted
            for seed in range(20)
        )

    assert accepted(0.4) >= 18
    assert accepted(0.8) == 0


def test_rows_are_answered_by_the_other_half_s_prompt() -> None:
    """Prompts that know only the rows they were trained on gain nothing."""
    targets = np.arange(64) % 4
    half = halves(targets)
    plain, clear = states_of(targets, 0.6, 1), states_of(targets + 4, 0.01, 2)
    overfit = tuple(
        Seen(np.where((half == number)[:, None, None], clear.states, plain.states))
        for number in (0, 1)
    )
    met = field(plain, targets)
    trial = compare_across(met, (overfit[0], overfit[1]), SIMPLE, GateConfig())
    assert trial.verdict.accuracy["candidate"] < trial.verdict.accuracy["live"]
    assert not trial.verdict.accepted
    assert trial.temperature > 1


def test_some_of_the_rows_keep_the_halves_they_had() -> None:
    targets = np.repeat(np.arange(3), 8)
    whole = field(states_of(targets, 0.1, 0), targets)
    some = whole.sample_across(12)
    assert len(some.rows) == 12
    kept = [whole.rows.index(row) for row in some.rows]
    np.testing.assert_array_equal(some.half, whole.half[kept])
    turned = whole.take([1, 0, 8])
    np.testing.assert_array_equal(turned.half, whole.half[[1, 0, 8]])
