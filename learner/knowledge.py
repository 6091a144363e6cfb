"""All a learner knows at one version: examples, their features, heads, prompts. Immutable.

Roles in a manifest's `blobs`, beside those of `learner.content`:

    examples/<task>     the kept examples
    features/<task>     their features, under the aggregate and under the task's own prompt
    statistics          class statistics of every example ever learnt, under the aggregate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backbones import FloatArray, Prefix
from learner.arrays import IntArray
from learner.content import class_id, split_class
from learner.examples import TaskExamples
from learner.heads import Head
from learner.heads.novelty import Novelty
from learner.statistics import ClassStatistics


@dataclass(frozen=True, eq=False)
class TaskKnowledge:
    """One task: N kept examples and what the backbone sees in them.

    features: (N, D) under the aggregate, None in a candidate that nobody completed yet.
    prompted: (N, D) under `prompt`, where there is one.
    """

    examples: TaskExamples
    features: FloatArray | None
    prompt: Prefix | None = None
    prompted: FloatArray | None = None
    head: Head | None = None

    @property
    def targets(self) -> IntArray:
        """(N,) index of each row's label in `examples.labels`."""
        index = {label: i for i, label in enumerate(self.examples.labels)}
        return np.array([index[row.label] for row in self.examples.rows], dtype=np.int64)

    @property
    def held_out(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(N,) which rows are held out from training prompts."""
        return np.array([row.held_out for row in self.examples.rows], dtype=bool)

    def take(self, indices: list[int], examples: TaskExamples) -> TaskKnowledge:
        """Only the rows at `indices`, which `examples` describes."""
        return replace(
            self,
            examples=examples,
            features=None if self.features is None else self.features[indices],
            prompted=None if self.prompted is None else self.prompted[indices],
            head=None,
        )

    @property
    def seen(self) -> FloatArray:
        """`features`, known to be there. Raises ValueError in an incomplete candidate."""
        if self.features is None:
            raise ValueError(f"task {self.examples.task!r} of a candidate has no features yet")
        return self.features


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Every task, the aggregate they are served under, and the heads fitted on them."""

    tasks: Mapping[str, TaskKnowledge] = field(default_factory=dict)
    aggregate: Prefix | None = None
    statistics: ClassStatistics | None = None
    flat: Head | None = None
    novelty: Novelty | None = None
    head_report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class ids in the column order of the flat head."""
        return tuple(
            class_id(name, label)
            for name, task in self.tasks.items()
            for label in task.examples.labels
        )

    @property
    def features(self) -> FloatArray:
        """(N, D) of all tasks under the aggregate, in the order of `tasks`."""
        return np.concatenate([task.seen for task in self.tasks.values()])

    @property
    def is_complete(self) -> bool:
        """Whether features are there for all tasks (not so in a promoted candidate)."""
        return all(task.features is not None for task in self.tasks.values())

    @property
    def targets(self) -> IntArray:
        """(N,) column of the flat head for each row of `features`."""
        offset, parts = 0, []
        for task in self.tasks.values():
            parts.append(task.targets + offset)
            offset += len(task.examples.labels)
        return np.concatenate(parts)

    def with_task(self, name: str, task: TaskKnowledge) -> Knowledge:
        """The same with one task added or exchanged."""
        return replace(self, tasks={**self.tasks, name: task})


def order_of_tasks(labels: tuple[str, ...]) -> list[str]:
    """The tasks of a version in the order of its labels."""
    return list(dict.fromkeys(split_class(name)[0] for name in labels))
