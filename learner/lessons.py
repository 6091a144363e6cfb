"""What a method is taught with: the rows of a lesson, chosen from what is known."""

from __future__ import annotations

import hashlib

import numpy as np

from backbones import Preprocessed
from learner.config import LearnerConfig
from learner.content import class_id
from learner.encoding import ExampleEncoder
from learner.examples import pick_spread, spread_over
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
    labels, targets = np.unique(known.targets[fit], return_inverse=True)
    rows = [known.examples.rows[i] for i in fit]
    return Lesson(
        task=task,
        inputs=encoder.preprocess(rows),
        labels=targets.astype(np.int64),
        classes=len(labels),
        lower=encoder.lower(rows),
        memory=_memory(knowledge, task, encoder, config.memory_rows),
        seed=_seed(config.seed, task, len(known.examples.rows)),
    )


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
    labels, columns = np.unique(field.targets[chosen], return_inverse=True)
    rows = [field.rows[i] for i in chosen]
    return Lesson(
        task=domain.name,
        inputs=encoder.preprocess(rows),
        labels=columns.astype(np.int64),
        classes=len(labels),
        lower=encoder.lower(rows),
        seed=_seed(config.seed, task, len(field.rows)),
        half=field.half[chosen],
    )


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
    labels, targets = np.unique([label for _, label in fit], return_inverse=True)
    rows = [row for row, _ in fit]
    return Lesson(
        task=task,
        inputs=encoder.preprocess(rows),
        labels=targets.astype(np.int64),
        classes=len(labels),
        lower=encoder.lower(rows),
        seed=_seed(config.seed, task, len(rows)),
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
