"""What a replica serves of a version: the codec between a manifest's blobs and arrays.

Numpy only, so that a replica needs neither torch nor the learner's training code.

Roles in a manifest's `blobs`:

    prefix/domain/<domain>  what a domain's inputs are seen under (absent: the plain backbone)
    head/domain/<domain>    over the classes of its tasks
    novelty/<domain>        how far an input lies from every class of it
    prefix/task/<task>      a task's own prompt (absent: the task is served by its domain)
    head/task/<task>        over one task's classes, as seen under its own prompt
    head/projection…        random maps, which heads share
    router                  tells domains apart (absent: there is one)

Which task belongs to which domain is said by the manifest's `tasks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np

from backbones import Bank, Description, Prefix
from learner.domain import ALL
from learner.domains.router import DomainRouter
from learner.heads.novelty import Novelty
from learner.heads.viewed import ViewedHead
from prompt_store import Blobs, Manifest

DOMAIN_PREFIX = "prefix/domain/"
DOMAIN_HEAD = "head/domain/"
NOVELTY = "novelty/"
TASK_PREFIX = "prefix/task/"
TASK_HEAD = "head/task/"
ROUTER = "router"
ROUTED = -1
"""The row of a request that names no task where there is a router."""


def class_id(task: str, label: str) -> str:
    """A class's name in the labels of a version. Task names hold no '/'; labels may."""
    return f"{task}/{label}"


def split_class(name: str) -> tuple[str, str]:
    """The inverse of `class_id`."""
    task, _, label = name.partition("/")
    return task, label


@dataclass(frozen=True, eq=False)
class ServedDomain:
    """A domain as a replica serves it. `labels[c]` names column c of the head."""

    name: str
    tasks: tuple[str, ...]
    labels: tuple[str, ...]
    head: ViewedHead
    prefix: Prefix | None = None
    novelty: Novelty | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """One version as a replica uses it. Immutable.

    Rows of the bank: the domains in order, then the tasks with a prompt of their own in order, then
    one that is empty.
    """

    version: int
    labels: tuple[str, ...] = ()
    domains: tuple[ServedDomain, ...] = ()
    router: DomainRouter | None = None
    prefixes: Mapping[str, Prefix] = field(default_factory=dict)
    heads: Mapping[str, ViewedHead] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each task with a prompt of its own."""
        return {task: len(self.domains) + i for i, task in enumerate(self.prefixes)}

    @property
    def plain_row(self) -> int:
        """The row under which the backbone is the plain model."""
        return len(self.domains) + len(self.prefixes)

    @cached_property
    def sees_apart(self) -> bool:
        """Whether any head looks at the two texts of a pair apart."""
        heads = [*(domain.head for domain in self.domains), *self.heads.values()]
        return any(head.sees_apart for head in heads)

    def bank(self, description: Description) -> Bank | None:
        """The prompts of all rows, and the router. None where the plain backbone does it all."""
        prompts = [*(domain.prefix for domain in self.domains), *self.prefixes.values(), None]
        if self.router is None and all(prompt is None for prompt in prompts):
            return None
        nothing = Prefix.empty(description)
        bank = Bank.stack([nothing if prompt is None else prompt for prompt in prompts])
        if self.router is None:
            return bank
        router = self.router.for_bank(np.arange(len(self.domains)))
        return Bank(bank.keys_values, bank.bias, (router,))

    def index_of(self, task: str) -> int:
        """Which domain a task belongs to. Raises KeyError for an unknown task."""
        for index, domain in enumerate(self.domains):
            if task in domain.tasks:
                return index
        raise KeyError(f"version {self.version} knows no task {task!r}")


class ContentReader:
    """Reads versions; what two versions share is read, verified and built once.

    Not thread-safe: give each thread its own, or a lock.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._prefixes: dict[str, Prefix] = {}
        self._heads: dict[str, ViewedHead] = {}

    def read(self, manifest: Manifest) -> Content:
        """The content of one manifest.

        Raises the store's errors for a missing or corrupt blob, ValueError (or a subclass) where
        tensors do not have the shapes their role asks for.
        """
        roles = manifest.blobs
        self._forget_all_but(set(roles.values()))
        labels = labels_by_task(manifest.labels)
        own = [name for name in labels if TASK_PREFIX + name in roles]
        return Content(
            version=manifest.version,
            labels=manifest.labels,
            domains=tuple(
                self._domain(name, {task: labels[task] for task in tasks}, roles)
                for name, tasks in partition_of(manifest).items()
            ),
            router=self._router(roles.get(ROUTER)),
            prefixes={task: self._prefix(roles[TASK_PREFIX + task]) for task in own},
            heads={task: self._head(roles[TASK_HEAD + task]) for task in own},
        )

    def _domain(
        self, name: str, labels: Mapping[str, list[str]], roles: Mapping[str, str]
    ) -> ServedDomain:
        """labels: of each of its tasks"""
        prefix = roles.get(DOMAIN_PREFIX + name)
        return ServedDomain(
            name,
            tuple(labels),
            tuple(chain.from_iterable(labels.values())),
            self._head(roles[DOMAIN_HEAD + name]),
            None if prefix is None else self._prefix(prefix),
            self._novelty(roles.get(NOVELTY + name)),
        )

    def _prefix(self, digest: str) -> Prefix:
        if digest not in self._prefixes:
            tensors, _ = self._blobs.get_tensors(digest)
            self._prefixes[digest] = Prefix.load(tensors)
        return self._prefixes[digest]

    def _head(self, digest: str) -> ViewedHead:
        if digest not in self._heads:
            tensors, metadata = self._blobs.get_tensors(digest)
            self._heads[digest] = ViewedHead.load(tensors, metadata)
        return self._heads[digest]

    def _novelty(self, digest: str | None) -> Novelty | None:
        if digest is None:
            return None
        tensors, _ = self._blobs.get_tensors(digest)
        return Novelty.load(tensors)

    def _router(self, digest: str | None) -> DomainRouter | None:
        if digest is None:
            return None
        tensors, _ = self._blobs.get_tensors(digest)
        return DomainRouter.load(tensors)

    def _forget_all_but(self, digests: set[str]) -> None:
        for cache in (self._prefixes, self._heads):
            for digest in cache.keys() - digests:
                del cache[digest]


def partition_of(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """The tasks of each domain of a version, both in order of arrival."""
    domains: dict[str, tuple[str, ...]] = {}
    for task in tasks_of(manifest.labels):
        name = manifest.tasks[task].domain or ALL
        domains[name] = (*domains.get(name, ()), task)
    return domains


def tasks_of(labels: Iterable[str]) -> list[str]:
    """The tasks of a version in the order of its labels."""
    return list(labels_by_task(labels))


def labels_of(tasks: Iterable[str], labels: Iterable[str]) -> tuple[str, ...]:
    """The class ids of some tasks: by task in the order given, within one as in `labels`."""
    owned = labels_by_task(labels)
    return tuple(label for task in tasks for label in owned.get(task, ()))


def labels_by_task(labels: Iterable[str]) -> dict[str, list[str]]:
    """The class ids of each task, both in the order of the labels."""
    owned: dict[str, list[str]] = {}
    for label in labels:
        owned.setdefault(split_class(label)[0], []).append(label)
    return owned


def write_prefix(blobs: Blobs, role: str, prefix: Prefix) -> dict[str, str]:
    """Store a prefix; returns its role and digest."""
    return {role: blobs.put_tensors(prefix.tensors())}


def write_head(blobs: Blobs, role: str, head: ViewedHead) -> dict[str, str]:
    """Store a head; returns its role and digest."""
    return {role: blobs.put_tensors(head.tensors(), head.metadata())}


def write_novelty(blobs: Blobs, role: str, novelty: Novelty) -> dict[str, str]:
    """Store a novelty measure; returns its role and digest."""
    return {role: blobs.put_tensors(novelty.tensors())}


def write_router(blobs: Blobs, router: DomainRouter) -> dict[str, str]:
    """Store the router; returns its role and digest."""
    return {ROUTER: blobs.put_tensors(router.tensors())}
