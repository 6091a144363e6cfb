"""The baselines behind the protocol of every method, and the prompt of a domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from backbones.text.backbone import TorchTextBackbone
from learner.errors import Unlearnable
from learner.methods.adapted import DomainPrompt
from learner.methods.additive import Additive
from learner.methods.base import Lesson, MethodState
from learner.methods.config import (
    AdditiveConfig,
    AutoConfig,
    JointConfig,
    ProgressiveConfig,
    SequentialConfig,
)
from learner.methods.frozen import Frozen
from learner.methods.joint import Joint
from learner.methods.q_tuning import QTuning
from learner.methods.sequential import Sequential
from tests.learner.methods.learning import learn, same, silent

MakeLesson = Callable[..., Lesson]


def test_frozen_learns_nothing(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    method = Frozen()
    state = method.start(tiny.description)
    after = method.train(lesson("a"), state, tiny, silent)
    assert after.aggregate.length == 0
    assert after.snapshots == {}
    loaded = MethodState.assemble(after.parts())
    assert loaded.method == "frozen"
    loaded.aggregate.check(tiny.description)


def test_sequential_trains_one_prompt_on(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    method = Sequential(SequentialConfig(rows=4, epochs=1, minimum_steps=3))
    first = method.train(lesson("a"), method.start(tiny.description), tiny, silent)
    second = method.train(lesson("bb"), first, tiny, silent)
    assert first.aggregate.length == second.aggregate.length == 4
    moved = np.abs(second.served.values - first.served.values)
    fresh = method.train(lesson("bb"), method.start(tiny.description), tiny, silent)
    assert 0 < moved.mean() < np.abs(fresh.served.values - first.served.values).mean()
    np.testing.assert_array_equal(second.kept["a"].values, first.served.values)
    np.testing.assert_array_equal(second.kept["bb"].values, second.served.values)


def test_a_domain_prompt_is_adapted_by_its_running_average(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method = DomainPrompt(AutoConfig(rows=4, epochs=1, minimum_steps=3))
    (first,) = learn(method, tiny, [lesson("a")])
    old = first.kept["a"]
    bias = np.full_like(old.bias, 0.5)
    known = replace(first, kept={"a": replace(old, bias=bias)})
    again = lesson("a", seed=7)
    adapted = method.train(again, known, tiny, silent)
    follow = DomainPrompt(AutoConfig(rows=4, epochs=1, minimum_steps=3, average=0.0))
    new = follow.train(again, known, tiny, silent).kept["a"]
    expected = 0.7 * old.values + 0.3 * new.values
    np.testing.assert_allclose(adapted.kept["a"].values, expected, atol=1e-6)
    np.testing.assert_array_equal(adapted.kept["a"].bias, bias)
    assert not np.array_equal(new.values, old.values)
    assert (first.notes["rows"], adapted.notes["rows"]) == ("fresh", "adapted")


def test_domains_know_nothing_of_each_other(tiny: TorchTextBackbone, lesson: MakeLesson) -> None:
    method = DomainPrompt(AutoConfig(rows=4, epochs=1, minimum_steps=3))
    _, both = learn(method, tiny, [lesson("a"), lesson("bb")])
    (alone,) = learn(method, tiny, [lesson("bb")])
    assert same(both.kept["bb"], alone.kept["bb"])
    assert len(both.served) == 0


def test_the_additive_prompt_is_the_running_average_of_what_tasks_train(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method = Additive(AdditiveConfig(rows=4, epochs=1, minimum_steps=3, average=0.6))
    first, second = learn(method, tiny, [lesson("a"), lesson("bb")])
    assert same(first.served, first.kept["a"])
    expected = 0.6 * first.served.values + 0.4 * second.kept["bb"].values
    np.testing.assert_allclose(second.served.values, expected, atol=1e-6)


def test_progressive_keeps_every_tasks_rows_and_refuses_one_too_many(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    config = ProgressiveConfig(rows=2, capacity=3, epochs=1, minimum_steps=2)
    method = QTuning(config, "progressive")
    states = learn(method, tiny, [lesson(task) for task in ("a", "bb", "ccc")])
    last = states[-1]
    assert last.queue.owners == ("a", "bb", "ccc")
    assert same(last.served, last.queue.rows)
    for state, task in zip(states, ("a", "bb", "ccc"), strict=True):
        assert same(last.queue.rows_of(task), state.queue.rows_of(task))
    with pytest.raises(Unlearnable, match="capacity=3 tasks are learnt"):
        method.train(lesson("dddd"), last, tiny, silent)
    again = method.train(lesson("bb"), last, tiny, silent)
    assert again.notes["rows"] == "warm"


def test_joint_training_starts_anew_at_every_lesson(
    tiny: TorchTextBackbone, lesson: MakeLesson
) -> None:
    method = Joint(JointConfig(rows=4, epochs=1, minimum_steps=3))
    first, second = learn(method, tiny, [lesson("a"), lesson("ccc", classes=3)])
    alone = method.train(lesson("ccc", classes=3), method.start(tiny.description), tiny, silent)
    assert same(second.served, alone.served)
    assert not same(first.served, second.served)
    assert same(first.kept["a"], second.kept["a"])
