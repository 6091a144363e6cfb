"""What a replica serves of a version: the codec between a manifest's blobs and arrays.

Numpy only, so that a replica needs neither torch nor the learner's training code.

Roles in a manifest's `blobs`:

    prefix/aggregate        the prefix served when no task is named (absent: the plain backbone)
    prefix/task/<task>      a task's own prompt (absent: the task is served by the aggregate)
    head/flat               over all classes, on features under the aggregate
    head/projection         the random map shared by every projected head
    head/task/<task>        over one task's classes, on features under its own prompt
    novelty                 how far an input lies from every class
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backbones import Bank, FloatArray, Prefix
from learner.heads import Head, load_head, split_tensors
from learner.heads.novelty import Novelty
from prompt_store import Blobs, Manifest

AGGREGATE = "prefix/aggregate"
TASK_PREFIX = "prefix/task/"
FLAT_HEAD = "head/flat"
PROJECTION = "head/projection"
TASK_HEAD = "head/task/"
NOVELTY = "novelty"


def class_id(task: str, label: str) -> str:
    """A class's name in the labels of a version. Task names hold no '/'; labels may."""
    return f"{task}/{label}"


def split_class(name: str) -> tuple[str, str]:
    """The inverse of `class_id`."""
    task, _, label = name.partition("/")
    return task, label


@dataclass(frozen=True)
class Content:
    """One version as a replica uses it. Immutable.

    `labels[c]` names column c of the flat head. `rows` maps a task with a prompt of its own to its
    row of the bank; row 0 is the aggregate. `bank` is None when no row has any prompt token.
    """

    version: int
    labels: tuple[str, ...] = ()
    bank: Bank | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    flat: Head | None = None
    task_heads: Mapping[str, Head] = field(default_factory=dict)
    novelty: Novelty | None = None

    @property
    def tasks(self) -> dict[str, list[int]]:
        """Columns of the flat head by task."""
        columns: dict[str, list[int]] = {}
        for column, name in enumerate(self.labels):
            columns.setdefault(split_class(name)[0], []).append(column)
        return columns


class ContentReader:
    """Reads versions; what two versions share is read, verified and built once.

    Not thread-safe: give each thread its own, or a lock.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._prefixes: dict[str, Prefix] = {}
        self._heads: dict[str, Head] = {}
        self._projections: dict[str, FloatArray] = {}

    def read(self, manifest: Manifest) -> Content:
        """The content of one manifest.

        Raises the store's errors for a missing or corrupt blob, ValueError (or a subclass) where
        tensors do not have the shapes their role asks for.
        """
        roles = manifest.blobs
        self._forget_all_but(set(roles.values()))
        tasks = sorted(r.removeprefix(TASK_PREFIX) for r in roles if r.startswith(TASK_PREFIX))
        prefixes = [self._prefix(roles[TASK_PREFIX + task]) for task in tasks]
        return Content(
            version=manifest.version,
            labels=manifest.labels,
            bank=self._bank(roles.get(AGGREGATE), prefixes),
            rows={task: row for row, task in enumerate(tasks, start=1)},
            flat=self._head(roles[FLAT_HEAD], roles) if FLAT_HEAD in roles else None,
            task_heads={task: self._head(roles[TASK_HEAD + task], roles) for task in tasks},
            novelty=self._novelty(roles.get(NOVELTY)),
        )

    def _bank(self, aggregate: str | None, prefixes: list[Prefix]) -> Bank | None:
        if aggregate is not None:
            return Bank.stack([self._prefix(aggregate), *prefixes])
        if not prefixes:
            return None
        return Bank.stack([nothing_like(prefixes[0]), *prefixes])

    def _prefix(self, digest: str) -> Prefix:
        if digest not in self._prefixes:
            tensors, _ = self._blobs.get_tensors(digest)
            self._prefixes[digest] = Prefix.load(tensors)
        return self._prefixes[digest]

    def _head(self, digest: str, roles: Mapping[str, str]) -> Head:
        if digest not in self._heads:
            tensors, metadata = self._blobs.get_tensors(digest)
            projection = self._projection(roles[PROJECTION]) if PROJECTION in roles else None
            self._heads[digest] = load_head(tensors, metadata, projection)
        return self._heads[digest]

    def _projection(self, digest: str) -> FloatArray:
        if digest not in self._projections:
            tensors, _ = self._blobs.get_tensors(digest)
            self._projections[digest] = tensors["projection"]
        return self._projections[digest]

    def _novelty(self, digest: str | None) -> Novelty | None:
        if digest is None:
            return None
        tensors, _ = self._blobs.get_tensors(digest)
        return Novelty.load(tensors)

    def _forget_all_but(self, digests: set[str]) -> None:
        for cache in (self._prefixes, self._heads, self._projections):
            for digest in cache.keys() - digests:
                del cache[digest]


def nothing_like(prefix: Prefix) -> Prefix:
    """The empty prefix of the same backbone."""
    return Prefix(prefix.keys_values[..., :0, :], prefix.bias[..., :0])


def write_prefix(blobs: Blobs, role: str, prefix: Prefix) -> dict[str, str]:
    """Store a prefix; returns its role and digest."""
    return {role: blobs.put_tensors(prefix.tensors())}


def write_head(blobs: Blobs, role: str, head: Head) -> dict[str, str]:
    """Store a head, its projection apart; returns roles and digests."""
    tensors, projection = split_tensors(head.tensors())
    written = {role: blobs.put_tensors(tensors, head.metadata())}
    if projection is not None:
        written[PROJECTION] = blobs.put_tensors({"projection": projection})
    return written


def write_novelty(blobs: Blobs, novelty: Novelty) -> dict[str, str]:
    """Store the novelty measure; returns its role and digest."""
    return {NOVELTY: blobs.put_tensors(novelty.tensors())}
