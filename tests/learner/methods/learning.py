"""Training one lesson after another, as the tests of every method need it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backbones import TrainableBackbone
from learner.methods.base import Lesson, Method, MethodState
from learner.rows import Rows


def silent(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    """A `Progress` nobody listens to."""


def learn(
    method: Method, backbone: TrainableBackbone, lessons: Sequence[Lesson]
) -> list[MethodState]:
    """The states after each lesson."""
    states = [method.start(backbone.description)]
    for lesson in lessons:
        states.append(method.train(lesson, states[-1], backbone, silent))
    return states[1:]


def same(one: Rows, other: Rows) -> bool:
    """Equal to the bit."""
    return np.array_equal(one.values, other.values) and np.array_equal(one.bias, other.bias)
