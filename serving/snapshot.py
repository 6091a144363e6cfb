"""One version as this replica serves it. Immutable: a swap exchanges the reference to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from backbones import Backbone, Bank, Input
from learner.content import ROUTED, Content, ContentReader, ServedDomain, split_class
from learner.heads.novelty import Novelty
from learner.heads.viewed import ViewedHead
from learner.sight import Seen
from prompt_store import Manifest, NotFound, Store

WARMING = Input(text="warm", text_pair="up")


class Unservable(Exception):
    """A version that this replica cannot serve, with the reason."""


@dataclass(frozen=True, eq=False)
class View:
    """What answers inputs that were seen under one row of the bank.

    head: its columns are `classes`, pairs of task and label. novelty: on the features under the
    row; None where it was not fitted for them.
    """

    row: int
    head: ViewedHead
    classes: tuple[tuple[str, str], ...]
    novelty: Novelty | None = None


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A loaded version. `domains[row]` answers requests that name no task, `tasks` the others.

    bank: None where the plain backbone does it all. All else is empty where nothing is learnt.
    places: of each class in the version's labels.
    """

    manifest: Manifest
    content: Content
    bank: Bank | None
    domains: tuple[View, ...]
    tasks: Mapping[str, View]
    places: Mapping[tuple[str, str], int]

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to answer with."""
        return not self.domains

    def row(self, task: str | None) -> int:
        """The row an input of this task goes through; `ROUTED` where the pass finds out."""
        if task is not None:
            return self.tasks[task].row
        return 0 if self.content.router is None else ROUTED

    def view(self, task: str | None, row: int) -> View:
        """What answers an input of this task that went through this row."""
        return self.domains[row] if task is None else self.tasks[task]

    @staticmethod
    def of(manifest: Manifest, content: Content, bank: Bank | None) -> Snapshot:
        """The snapshot of a version's content. Raises Unservable where its parts do not fit."""
        domains = tuple(
            _view(row, domain, content.version) for row, domain in enumerate(content.domains)
        )
        tasks = {
            task: _task_view(task, columns, whole, content)
            for whole in domains
            for task, columns in _columns(whole).items()
        }
        places = {split_class(name): place for place, name in enumerate(manifest.labels)}
        return Snapshot(manifest, content, bank, domains, tasks, places)


def _view(row: int, domain: ServedDomain, version: int) -> View:
    if domain.head.classes != len(domain.labels):
        raise Unservable(
            f"version {version}: domain {domain.name!r} has {len(domain.labels)} labels and a head "
            f"of {domain.head.classes} columns"
        )
    classes = tuple(split_class(name) for name in domain.labels)
    return View(row, domain.head, classes, domain.novelty)


def _columns(whole: View) -> dict[str, list[int]]:
    """Which columns are classes of each task."""
    columns: dict[str, list[int]] = defaultdict(list)
    for column, (task, _) in enumerate(whole.classes):
        columns[task].append(column)
    return columns


def _task_view(task: str, columns: Sequence[int], whole: View, content: Content) -> View:
    """The task's own row and head, or its columns of the domain's head."""
    classes = tuple(whole.classes[column] for column in columns)
    own = content.heads.get(task)
    if own is None:
        if len(columns) == len(whole.classes):
            return whole
        return View(whole.row, whole.head.restrict(columns), classes, whole.novelty)
    if own.classes != len(classes):
        raise Unservable(
            f"version {content.version}: task {task!r} has {len(classes)} labels and a head of "
            f"{own.classes} columns"
        )
    return View(content.rows[task], own, classes)


class SnapshotLoader:
    """Loads, validates and warms versions for one backbone. Blocking: call off the event loop."""

    def __init__(self, store: Store, backbone: Backbone) -> None:
        self._store = store
        self._backbone = backbone
        self._reader = ContentReader(store.blobs)
        self._lock = Lock()
        self._plain: Seen | None = None

    def load(self, version: int) -> Snapshot:
        """The snapshot of this version, ready to serve.

        Raises UnknownVersion; Unservable (another backbone's, not a version with content, or its
        parts do not fit); the store's errors for a missing or corrupt blob.
        """
        manifest = self._store.manifest(version)
        description = self._backbone.description
        if not manifest.kind.has_content:
            raise Unservable(f"version {version} is a {manifest.kind}: it holds no content")
        if manifest.backbone != description.fingerprint:
            raise Unservable(
                f"version {version} was made for backbone {manifest.backbone}, and this server "
                f"runs {description.name} ({description.fingerprint})"
            )
        try:
            with self._lock:
                content = self._reader.read(manifest)
            bank = content.bank(description)
            snapshot = Snapshot.of(manifest, content, bank)
            self._warm(snapshot)
        except (ValueError, KeyError) as error:
            raise Unservable(f"version {version} does not fit together: {error}") from error
        return snapshot

    def load_kept(self, version: int) -> Snapshot:
        """The same of a version that retention may drop meanwhile. Raises as `load` does."""
        self.check_kept(version)
        try:
            return self.load(version)
        except NotFound:
            self.check_kept(version)  # its blobs are gone because it is: that is the reason to give
            raise

    def check_kept(self, version: int) -> None:
        """Raises UnknownVersion where retention has dropped it."""
        self._store.kept(version)

    def _warm(self, snapshot: Snapshot) -> None:
        """One tiny pass through every head, which also proves that the shapes fit."""
        if snapshot.bank is not None:
            snapshot.bank.check(self._backbone.description)
        if self._backbone.description.modality != "text" or snapshot.is_empty:
            return
        seen = self._warming_text(snapshot)
        for view in (*snapshot.domains, *snapshot.tasks.values()):
            if not np.isfinite(view.head.log_posteriors(seen)).all():
                raise Unservable(
                    f"version {snapshot.version} answers with numbers that are not finite"
                )

    def _warming_text(self, snapshot: Snapshot) -> Seen:
        """Without a bank what is seen never changes: one pass serves all versions."""
        if snapshot.bank is None and self._plain is not None:
            return self._plain
        batch = self._backbone.preprocess([WARMING])
        rows = np.array([snapshot.row(None)], dtype=np.int64)
        states = self._backbone.encode_layers(
            batch, snapshot.bank, rows if snapshot.bank is not None else None
        )
        apart = np.repeat(states.features[:, None], 2, axis=1)
        seen = Seen(states.pooled, apart)
        if snapshot.bank is None:
            self._plain = seen
        return seen
