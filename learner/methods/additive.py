"""One shared prompt that follows the tasks by a running average, after APT (ICCV 2025).

Published: a shared vector added to keys and values of the class token, and M ← α·M + (1 − α)·p
over the prompts p of the tasks. Ours differs: P prefix rows *beside* the input's keys and values,
in the upper layers, seen by every token. A mean-pooled text encoder reads its features from all
tokens, so the class token is no special place there; and the bank serves prefix rows only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from backbones import Description, TrainableBackbone
from learner.methods.adapted import running_average
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import AdditiveConfig
from learner.methods.training import random_rows, seed_of, train_rows


@dataclass(frozen=True)
class Additive:
    """The aggregate is the average M; a task's snapshot is the p it trained, begun at M."""

    config: AdditiveConfig = field(default_factory=AdditiveConfig)
    name: str = "additive"

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
        """Train p from M, then move M towards it; the first task's p is M."""
        config, seed = self.config, seed_of(lesson, "rows")
        start = state.served or random_rows(config.rows, backbone.description, config, seed)
        own, loss = train_rows(lesson, config, start, backbone, report)
        served = running_average(start, own, config.average) if state.served else own
        kept = {**state.kept, lesson.task: own}
        return replace(state, served=served, kept=kept, notes={"loss": f"{loss:.4f}"})
