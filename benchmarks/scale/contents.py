"""Versions that know many tasks: synthetic numbers of the usual sizes, in the learner's own form.

Nothing is trained. Prompts, heads and novelty are random, and so is what their answers say; a
request's cost does not depend on the numbers. They are written and committed by the learner's code.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Final, Literal, TypeAlias

import numpy as np

from backbones import Description, FloatArray, Prefix
from benchmarks.lessons import texts
from learner.archive import Archive
from learner.build import build_method
from learner.config import LearnerConfig
from learner.domain import ALL, Domain
from learner.domains import fit_router
from learner.examples import TaskExamples
from learner.heads import LinearHead, ProjectedHead
from learner.heads.config import HeadConfig
from learner.heads.novelty import Novelty
from learner.heads.ridge import random_projection
from learner.heads.viewed import ViewedHead
from learner.knowledge import Knowledge, TaskKnowledge
from learner.publisher import Entry, Publisher
from learner.sight import Seen
from learner.view import last_view, wide_view
from prompt_store import Example, Kind, MethodReference, Store

Layout: TypeAlias = Literal["domains", "tasks"]
"""domains: each task is a domain with a prompt of its own, told apart by the router, as `auto` has
it. tasks: one domain with a head over all classes and a prompt that all share, and for requests
that name a task its own prompt and head, as `q-tuning` has it."""

ROWS: Final = 10
"""Of every prompt, in each prompted layer."""
POOLED_CLASSES: Final = 300
"""Of a head that pools two kinds; with more the default head is ridge regression alone."""
LADDER: Final = 41
"""Quantiles of a novelty measure."""


def write_version(
    store: Store, about: Description, tasks: int, classes: int, layout: Layout
) -> int:
    """Commit a version of so many tasks, each of so many classes, to a new store; its number."""
    numbers, names = _Numbers(about), task_names(tasks)
    by_domain = layout == "domains"
    knowledge = numbers.by_domain(names, classes) if by_domain else numbers.by_task(names, classes)
    method = build_method(LearnerConfig(method="auto" if by_domain else "q-tuning"))
    reference = MethodReference(name=method.name, config_digest=method.digest)
    publisher = Publisher(store, "bench", about.fingerprint, reference)
    publisher.fence()
    entry = Entry(Kind.REFRESH, knowledge, Archive(store.blobs).write(knowledge))
    manifest = publisher.append(entry, None)
    assert manifest is not None, "nobody else writes to a new store"
    return manifest.version


def task_names(tasks: int) -> list[str]:
    """The names of the tasks of a version with so many."""
    return [f"task-{number:03d}" for number in range(tasks)]


class _Numbers:
    """Random knowledge for one backbone."""

    def __init__(self, about: Description) -> None:
        self._about = about
        self._rng = np.random.default_rng(0)
        head = HeadConfig()
        self._seed = head.seed
        self._projection = random_projection(about.width, head.projection, head.seed)

    def by_domain(self, names: list[str], classes: int) -> Knowledge:
        """Every task its own domain."""
        tasks = {name: self._task(name, classes) for name in names}
        domains = tuple(self._domain(name, (name,), tasks[name].seen, classes) for name in names)
        below = self._about.first_prompted
        lower = [[task.plain.lower(below)] for task in tasks.values()]
        return Knowledge(tasks, domains, fit_router(lower) if len(domains) > 1 else None)

    def by_task(self, names: list[str], classes: int) -> Knowledge:
        """One domain; every task has a prompt and a head of its own besides."""
        tasks = {name: self._task(name, classes, own=True) for name in names}
        seen = tasks[names[0]].seen
        return Knowledge(tasks, (self._domain(ALL, tuple(names), seen, classes * len(names)),))

    def _task(self, name: str, classes: int, *, own: bool = False) -> TaskKnowledge:
        """One example a class."""
        examples = TaskExamples(name).add(
            "none",
            [
                Example(id=str(number), label=f"class-{number:02d}", text=text)
                for number, text in enumerate(islice(cycle(texts()), classes))
            ],
        )
        about = self._about
        states = self._drawn(classes, about.layers + 1, about.width)
        plain = Seen(states / np.linalg.norm(states, axis=2, keepdims=True))
        upper = plain.states[:, -about.prompted_layers :]
        if not own:
            return TaskKnowledge(examples, plain, upper)
        return TaskKnowledge(
            examples, plain, upper, self._prompt(), upper, self._head(plain, classes)
        )

    def _domain(self, name: str, tasks: tuple[str, ...], seen: Seen, classes: int) -> Domain:
        head, novelty = self._head(seen, classes), self._novelty(classes)
        return Domain(name, tasks, self._prompt(), tasks, head=head, novelty=novelty)

    def _prompt(self) -> Prefix:
        numbers = self._drawn(*self._about.prefix_shape(ROWS))
        bias = np.zeros((self._about.prompted_layers, self._about.heads, ROWS), np.float32)
        return Prefix(np.float32(0.1) * numbers, bias)

    def _head(self, seen: Seen, classes: int) -> ViewedHead:
        """Of the kinds and sizes that the default head has with so many classes."""
        near, wide = last_view(seen), wide_view(seen)
        none = np.zeros(classes, np.float32)
        weights = self._drawn(self._projection.shape[1], classes)
        ridge = ProjectedHead(self._projection, weights, none)
        if classes > POOLED_CLASSES:
            return ViewedHead((near,), (ridge,), seed=self._seed)
        logistic = LinearHead(self._drawn(wide.width(seen), classes), none)
        return ViewedHead((wide, near), (logistic, ridge), (0.5, 0.5), self._seed)

    def _novelty(self, classes: int) -> Novelty:
        width = self._about.width
        ladder = np.linspace(-1, 1, LADDER, dtype=np.float32)
        center, square = np.zeros(width, np.float32), self._drawn(width, width)
        slope, offset = self._drawn(width, classes), np.zeros(classes, np.float32)
        return Novelty(center, square, slope, offset, ladder)

    def _drawn(self, *shape: int) -> FloatArray:
        return self._rng.standard_normal(shape, np.float32)
