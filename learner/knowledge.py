"""All a learner knows at one version: examples, what the backbone sees in them, domains. Immutable.

Roles in a manifest's `blobs`, beside those of `learner.content`:

    examples/<task>         the kept examples
    features/<task>         what the frozen backbone sees in them
    prompted/<task>         what it sees under the domain's prompt, and under the task's own
    statistics/<domain>     class statistics of every example ever learnt, under the prompt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backbones import FloatArray, Prefix
from learner.arrays import IntArray
from learner.content import class_id
from learner.domain import Domain
from learner.domains.router import DomainRouter
from learner.examples import TaskExamples
from learner.heads.viewed import ViewedHead
from learner.sight import Seen


@dataclass(frozen=True, eq=False)
class TaskKnowledge:
    """One task: N kept examples and what the backbone sees in them.

    plain: under no prompt. upper: (N, L', D) pooled states of the prompted layers under the
    domain's prompt; None where it has none, or in a candidate that nobody completed yet.
    prompt: the task's own, for requests that name it; own: as `upper`, under it.
    """

    examples: TaskExamples
    plain: Seen
    upper: FloatArray | None = None
    prompt: Prefix | None = None
    own: FloatArray | None = None
    head: ViewedHead | None = None

    @property
    def targets(self) -> IntArray:
        """(N,) index of each row's label in `examples.labels`."""
        index = {label: i for i, label in enumerate(self.examples.labels)}
        return np.array([index[row.label] for row in self.examples.rows], dtype=np.int64)

    @property
    def held_out(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(N,) which rows are held out from training prompts."""
        return np.array([row.held_out for row in self.examples.rows], dtype=bool)

    @property
    def seen(self) -> Seen:
        """As requests that name no task are seen."""
        return self.plain if self.upper is None else under(self.plain, self.upper)

    @property
    def seen_alone(self) -> Seen:
        """As requests that name the task are seen."""
        return self.seen if self.own is None else under(self.plain, self.own)

    def take(self, indices: Sequence[int], examples: TaskExamples) -> TaskKnowledge:
        """Only the rows at `indices`, which `examples` describes."""
        chosen = list(indices)
        return replace(
            self,
            examples=examples,
            plain=self.plain.take(chosen),
            upper=None if self.upper is None else self.upper[chosen],
            own=None if self.own is None else self.own[chosen],
            head=None,
        )


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Every task, the domains they fall into, and the router that tells domains apart.

    `router` is None where there is one domain. `metrics` says how good the newest head is, and
    `arrangement` why tasks share domains: both for the manifest.
    """

    tasks: Mapping[str, TaskKnowledge] = field(default_factory=dict)
    domains: tuple[Domain, ...] = ()
    router: DomainRouter | None = None
    metrics: Mapping[str, float | str] = field(default_factory=dict)
    arrangement: Mapping[str, Any] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Class ids of all tasks, in order of arrival."""
        return self.labels_of(tuple(self.tasks))

    def labels_of(self, tasks: Sequence[str]) -> tuple[str, ...]:
        """Class ids of some tasks, in order: the columns of a head over them."""
        return tuple(
            class_id(name, label) for name in tasks for label in self.tasks[name].examples.labels
        )

    def seen(self, domain: Domain) -> Seen:
        """All rows of a domain's tasks, in order."""
        return Seen.concat([self.tasks[name].seen for name in domain.tasks])

    def targets(self, domain: Domain) -> IntArray:
        """(N,) column of the domain's head for each row of `seen`."""
        offset, parts = 0, []
        for name in domain.tasks:
            task = self.tasks[name]
            parts.append(task.targets + offset)
            offset += len(task.examples.labels)
        return np.concatenate(parts)

    @property
    def is_complete(self) -> bool:
        """Whether all rows were seen under the prompts (not so in a promoted candidate)."""
        return all(
            self.tasks[name].upper is not None
            for domain in self.domains
            if domain.prompt is not None
            for name in domain.tasks
        ) and all(task.own is not None for task in self.tasks.values() if task.prompt is not None)

    def placed(self, task: str) -> Domain | None:
        """The domain a task belongs to; None where it was not placed yet."""
        return next((domain for domain in self.domains if task in domain.tasks), None)

    def domain_of(self, task: str) -> Domain:
        """The domain a task belongs to. Raises KeyError where it was not placed yet."""
        domain = self.placed(task)
        if domain is None:
            raise KeyError(f"task {task!r} belongs to no domain")
        return domain

    def with_task(self, name: str, task: TaskKnowledge) -> Knowledge:
        """The same with one task added or exchanged."""
        return replace(self, tasks={**self.tasks, name: task})

    def with_domain(self, domain: Domain) -> Knowledge:
        """The same with the domain of this name exchanged."""
        kept = tuple(domain if d.name == domain.name else d for d in self.domains)
        return replace(self, domains=kept)


def under(plain: Seen, upper: FloatArray) -> Seen:
    """`plain` with the states of the uppermost layers exchanged for `upper (N, L', D)`."""
    below = plain.states.shape[1] - upper.shape[1]
    return replace(plain, states=np.concatenate([plain.states[:, :below], upper], axis=1))
