"""The two baselines behind the protocol of every method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backbones.text.backbone import TorchTextBackbone
from learner.methods.base import Lesson, MethodState
from learner.methods.config import SequentialConfig
from learner.methods.frozen import Frozen
from learner.methods.sequential import Sequential

MakeLesson = Callable[..., Lesson]


def silent(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    """A `Progress` nobody listens to."""


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
