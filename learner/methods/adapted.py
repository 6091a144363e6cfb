"""The prompt of one domain, trained by its first task and adapted by later ones.

The default policy (`auto`) trains by it: `Lesson.task` is the domain's name. Ours: the rows are
split in two halves, each half trains a prompt from the same start, and their mean serves. It is as
good as one prompt trained on everything, costs the same, and every row can judge: by the prompt of
the half that it is not in (docs/learner.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from backbones import Description, Prefix, TrainableBackbone
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import AutoConfig
from learner.methods.training import random_rows, seed_of, train_rows
from learner.rows import Rows

HALF = "half."
"""Name in `MethodState.extra` of the keys and values that half 0 or 1 alone leads to."""


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

        A domain that has rows keeps their number, whatever the config says by now. Without a split
        of the lesson one prompt is trained on all of it.
        """
        config, old = self.config, state.kept.get(lesson.task)
        seed = seed_of(lesson, "rows")
        start = random_rows(config.rows, backbone.description, config, seed) if old is None else old
        parts = _parts(lesson)
        trained = [
            train_rows(part, config, start, backbone, _share(report, number, len(parts)))
            for number, part in enumerate(parts)
        ]
        rows = [
            new if old is None else running_average(old, new, config.average) for new, _ in trained
        ]
        loss = sum(last for _, last in trained) / len(trained)
        notes = {"rows": "fresh" if old is None else "adapted", "loss": f"{loss:.4f}"}
        extra = {f"{HALF}{number}": part.values for number, part in enumerate(rows)}
        served = rows[0] if len(rows) == 1 else running_average(rows[0], rows[1], 0.5)
        return replace(
            state,
            kept={**state.kept, lesson.task: served},
            extra=extra if len(rows) == 2 else {},
            notes=notes,
        )


def _parts(lesson: Lesson) -> list[Lesson]:
    if lesson.half is None:
        return [lesson]
    return [lesson.only(np.flatnonzero(lesson.half == number)) for number in (0, 1)]


def _share(report: Progress, number: int, parts: int) -> Progress:
    """Progress through one of several trainings, told as that through all of them."""

    def told(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        report(number * epochs + epoch, parts * epochs, loss, seconds)

    return told


def halves_of(state: MethodState, domain: str) -> tuple[Prefix, Prefix]:
    """What each half of the domain's last lesson alone leads to. Raises KeyError without halves."""
    bias = state.kept[domain].bias
    first, second = (Rows(state.extra[f"{HALF}{number}"], bias) for number in (0, 1))
    return first.to_prefix(), second.to_prefix()


def running_average(old: Rows, new: Rows, weight: float) -> Rows:
    """weight · old + (1 − weight) · new of keys and values; biases are never trained and stay."""
    values = weight * old.values + (1 - weight) * new.values
    return Rows(values.astype(np.float32), old.bias)
