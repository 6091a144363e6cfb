"""One prompt trained on the rows of all tasks at once: the bound no sequence should pass.

It breaks what the other methods keep to: its cost grows with the tasks, up to `maximum_steps`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from backbones import Description, Preprocessed, TrainableBackbone
from backbones.lower import LowerStates
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import JointConfig
from learner.methods.training import random_rows, seed_of, train_rows


@dataclass(frozen=True)
class Joint:
    """A fresh prompt for every lesson, trained on it and its replay; all classes compete."""

    config: JointConfig = field(default_factory=JointConfig)
    name: str = "joint"

    @property
    def digest(self) -> str:
        """Of the config."""
        return self.config.digest()

    def start(self, description: Description) -> MethodState:
        """No prompt yet."""
        return blank(self.name, no_rows(description, self.config.form))

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """Nothing is gone on from; without replay this trains one task alone."""
        whole = with_replay(lesson, backbone)
        seed = seed_of(lesson, "rows")
        start = random_rows(self.config.rows, backbone.description, self.config, seed)
        served, loss = train_rows(whole, self.config, start, backbone, report)
        kept = {**state.kept, lesson.task: served}
        notes = {"loss": f"{loss:.4f}", "examples": str(len(whole.labels))}
        return replace(state, served=served, kept=kept, notes=notes)


def with_replay(lesson: Lesson, backbone: TrainableBackbone) -> Lesson:
    """A lesson in which the replayed rows are rows like all others."""
    if lesson.replay is None or lesson.replay_labels is None or not len(lesson.replay):
        return lesson
    lower = [lesson.lower_states(backbone), backbone.lower(lesson.replay)]
    return replace(
        lesson,
        inputs=Preprocessed.concat([lesson.inputs, lesson.replay]),
        labels=np.concatenate([lesson.labels, lesson.replay_labels]),
        classes=int(lesson.replay_labels.max()) + 1,
        lower=LowerStates.concat(lower),
        replay=None,
        replay_labels=None,
    )
