"""One prompt trained on the rows of all tasks at once: the bound no sequence should pass.

It breaks what the other methods keep to: its cost grows with the tasks, up to `maximum_steps`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from backbones import Description, TrainableBackbone
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import JointConfig
from learner.methods.training import random_rows, seed_of, train_rows


@dataclass(frozen=True)
class Joint:
    """A fresh prompt for every lesson; the learner gives it the rows and classes of all tasks."""

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
        """Nothing is gone on from: what a lesson does not hold is not learnt."""
        seed = seed_of(lesson, "rows")
        start = random_rows(self.config.rows, backbone.description, self.config, seed)
        served, loss = train_rows(lesson, self.config, start, backbone, report)
        kept = {**state.kept, lesson.task: served}
        notes = {"loss": f"{loss:.4f}", "examples": str(len(lesson.labels))}
        return replace(state, served=served, kept=kept, notes=notes)
