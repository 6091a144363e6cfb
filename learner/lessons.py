"""What a method is taught with: the rows of a lesson, chosen from what is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones import Preprocessed
from learner.config import LearnerConfig
from learner.content import class_id
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample, pick_spread, spread_over
from learner.knowledge import Knowledge
from learner.methods.base import Lesson
from learner.trial import field_of

REPLAYED = 2
"""For so many rows of a task one of the domain's other tasks is trained along."""


def lesson_of_task(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, config: LearnerConfig
) -> Lesson:
    """One task's fit rows; of other tasks only what eviction may look at."""
    known = knowledge.tasks[task]
    fit = np.flatnonzero(~known.held_out)
    rows = [known.examples.rows[i] for i in fit]
    memory = _memory(knowledge, task, encoder, config.memory_rows)
    seed = _seed(config.seed, task, len(known.examples.rows))
    return replace(_lesson(task, rows, known.targets[fit], encoder, seed), memory=memory)


def lesson_of_domain(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, config: LearnerConfig
) -> Lesson:
    """The task's rows, and half as many of the domain's other tasks, spread over their classes.

    All classes of the domain compete, as they will when requests come. Rows alone in their class
    are left out: they could be in one half only.
    """
    domain = knowledge.domain_of(task)
    field = field_of(knowledge, domain.name).across()
    own = [i for i, owner in enumerate(field.owners) if owner == task]
    others = [
        [i for i in np.flatnonzero(field.targets == c).tolist() if field.owners[i] != task]
        for c in range(len(field.classes))
    ]
    chosen = sorted(own + pick_spread(others, len(own) // REPLAYED))
    rows = [field.rows[i] for i in chosen]
    seed = _seed(config.seed, task, len(field.rows))
    lesson = _lesson(domain.name, rows, field.targets[chosen], encoder, seed)
    return replace(lesson, half=field.half[chosen])


def lesson_of_all(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, config: LearnerConfig
) -> Lesson:
    """The fit rows of every task that has some, as the newest lesson; all classes compete."""
    fit = [
        (row, class_id(name, row.label))
        for name, known in sorted(knowledge.tasks.items())
        for row, held_out in zip(known.examples.rows, known.held_out, strict=True)
        if not held_out
    ]
    names = np.array([label for _, label in fit])
    seed = _seed(config.seed, task, len(fit))
    return _lesson(task, [row for row, _ in fit], names, encoder, seed)


def _lesson(
    task: str,
    rows: Sequence[KeptExample],
    classes: NDArray[Any],
    encoder: ExampleEncoder,
    seed: int,
) -> Lesson:
    """Rows and the classes they are of, which are numbered from 0."""
    known, labels = np.unique(classes, return_inverse=True)
    return Lesson(
        task=task,
        inputs=encoder.preprocess(rows),
        labels=labels.astype(np.int64),
        classes=len(known),
        lower=encoder.lower(rows),
        seed=seed,
    )


def _memory(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, budget: int
) -> Preprocessed | None:
    others = [
        known.examples.rows for name, known in sorted(knowledge.tasks.items()) if name != task
    ]
    chosen = spread_over(others, budget)
    return encoder.preprocess(chosen) if chosen else None


def _seed(seed: int, task: str, rows: int) -> int:
    digest = hashlib.sha256(f"{seed}/{task}/{rows}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
