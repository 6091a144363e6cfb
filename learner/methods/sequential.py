"""One prompt, trained on from task to task: the baseline that forgets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from backbones import Description, TrainableBackbone
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import SequentialConfig
from learner.methods.training import random_rows, seed_of, train_rows


@dataclass(frozen=True)
class Sequential:
    """The aggregate is the prompt; a task's snapshot is what it was after the task."""

    config: SequentialConfig = field(default_factory=SequentialConfig)
    name: str = "sequential"

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
        """Train the one prompt on; the first task starts it at random."""
        seed = seed_of(lesson, "rows")
        start = state.served or random_rows(
            self.config.rows, backbone.description, self.config, seed
        )
        served, loss = train_rows(lesson, self.config, start, backbone, report)
        kept = {**state.kept, lesson.task: served}
        return replace(state, served=served, kept=kept, notes={"loss": f"{loss:.4f}"})
