"""The prompt of one domain, trained by its first task and adapted by later ones.

The default policy (`auto`) trains by it: `Lesson.task` is the domain's name. Ours; the running
average is that of additive prompts for continual learning (docs/layer_grouped.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from backbones import Description, TrainableBackbone
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import AutoConfig
from learner.methods.training import random_rows, seed_of, train_rows
from learner.rows import Rows


@dataclass(frozen=True)
class DomainPrompt:
    """One prompt a domain; domains know nothing of each other and there is no aggregate."""

    config: AutoConfig = field(default_factory=AutoConfig)
    name: str = "auto"

    @property
    def digest(self) -> str:
        """Of the config."""
        return self.config.digest()

    def start(self, description: Description) -> MethodState:
        """No domain has a prompt."""
        return blank(self.name, no_rows(description, self.config.form))

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """Only `kept[lesson.task]` changes: new rows, or a step from the domain's towards them.

        A domain that has rows keeps their number, whatever the config says by now.
        """
        config, old = self.config, state.kept.get(lesson.task)
        seed = seed_of(lesson, "rows")
        start = random_rows(config.rows, backbone.description, config, seed) if old is None else old
        new, loss = train_rows(lesson, config, start, backbone, report)
        rows = new if old is None else running_average(old, new, config.average)
        notes = {"rows": "fresh" if old is None else "adapted", "loss": f"{loss:.4f}"}
        return replace(state, kept={**state.kept, lesson.task: rows}, notes=notes)


def running_average(old: Rows, new: Rows, weight: float) -> Rows:
    """weight · old + (1 − weight) · new of keys and values; biases are never trained and stay."""
    values = weight * old.values + (1 - weight) * new.values
    return Rows(values.astype(np.float32), old.bias)
