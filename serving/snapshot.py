"""One version as this replica serves it. Immutable: a swap exchanges the reference to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from backbones import Backbone, Bank, Description, FloatArray, Input, Preprocessed
from learner.content import Content, ContentReader, split_class
from learner.heads import Head
from prompt_store import Kind, Manifest, Store

WARMING = Input(text="warm")
AGGREGATE_ROW = 0


class Unservable(Exception):
    """A version that this replica cannot serve, with the reason."""


@dataclass(frozen=True)
class View:
    """What answers requests of one task, or of none.

    row: of the bank, for the features; head: its columns are `classes`, pairs of task and label.
    """

    row: int
    head: Head
    classes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A loaded version. `views[None]` answers without a task; no views where nothing is learnt."""

    manifest: Manifest
    content: Content
    views: Mapping[str | None, View]

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that can be asked for."""
        return [task for task in self.views if task is not None]

    def novelty(self, features: FloatArray, row: int) -> FloatArray | None:
        """(B,) quantiles for features (B, D) under `row`; None where not fitted for that row."""
        if self.content.novelty is None or row != AGGREGATE_ROW:
            return None
        return self.content.novelty.quantiles(features)

    @staticmethod
    def of(manifest: Manifest, content: Content) -> Snapshot:
        """The snapshot of a version's content. Raises Unservable where its parts do not fit."""
        return Snapshot(manifest, content, _views(content))


def _views(content: Content) -> dict[str | None, View]:
    if content.flat is None:
        if content.labels:
            raise Unservable(f"version {content.version} has labels and no head")
        return {}
    if content.flat.classes != len(content.labels):
        raise Unservable(
            f"version {content.version} has {len(content.labels)} labels and a head of "
            f"{content.flat.classes} columns"
        )
    classes = tuple(split_class(name) for name in content.labels)
    views: dict[str | None, View] = {None: View(AGGREGATE_ROW, content.flat, classes)}
    for task, columns in content.tasks.items():
        own = tuple(classes[column] for column in columns)
        views[task] = _task_view(content, task, columns, own)
    return views


def _task_view(
    content: Content, task: str, columns: Sequence[int], classes: tuple[tuple[str, str], ...]
) -> View:
    """The task's own row and head, or the flat head's columns for it under the aggregate."""
    head = content.task_heads.get(task)
    if head is None or content.flat is None:
        return View(AGGREGATE_ROW, _restricted(content, columns), classes)
    if head.classes != len(classes):
        raise Unservable(
            f"version {content.version}: task {task!r} has {len(classes)} labels and a head of "
            f"{head.classes} columns"
        )
    return View(content.rows[task], head, classes)


def _restricted(content: Content, columns: Sequence[int]) -> Head:
    flat = content.flat
    assert flat is not None
    return flat if len(columns) == flat.classes else flat.restrict(columns)


class SnapshotLoader:
    """Loads, validates and warms versions for one backbone. Blocking: call off the event loop."""

    def __init__(self, store: Store, backbone: Backbone) -> None:
        self._store = store
        self._backbone = backbone
        self._reader = ContentReader(store.blobs)
        self._lock = Lock()
        self._plain: FloatArray | None = None

    def load(self, version: int) -> Snapshot:
        """The snapshot of this version, ready to serve.

        Raises UnknownVersion; Unservable (another backbone's, not a version with content, or its
        parts do not fit); the store's errors for a missing or corrupt blob.
        """
        manifest = self._store.manifest(version)
        description = self._backbone.description
        if manifest.kind is Kind.FENCE:
            raise Unservable(f"version {version} is a learner's fence and holds no content")
        if manifest.backbone != description.fingerprint:
            raise Unservable(
                f"version {version} was made for backbone {manifest.backbone}, and this server "
                f"runs {description.name} ({description.fingerprint})"
            )
        try:
            with self._lock:
                content = self._reader.read(manifest)
            snapshot = Snapshot.of(manifest, content)
            self._warm(snapshot)
        except (ValueError, KeyError) as error:
            raise Unservable(f"version {version} does not fit together: {error}") from error
        return snapshot

    def _warm(self, snapshot: Snapshot) -> None:
        """One tiny pass through every head, which also proves that the shapes fit."""
        bank = snapshot.content.bank
        if bank is not None:
            bank.check(self._backbone.description)
        if self._backbone.description.modality == "text":
            self._answer_once(snapshot, self._backbone.preprocess([WARMING]))

    def _answer_once(self, snapshot: Snapshot, batch: Preprocessed) -> None:
        features = self._features(batch, snapshot.content.bank)
        for view in snapshot.views.values():
            if not np.isfinite(view.head.log_posteriors(features)).all():
                raise Unservable(
                    f"version {snapshot.version} answers with numbers that are not finite"
                )

    def _features(self, batch: Preprocessed, bank: Bank | None) -> FloatArray:
        """Of the warming text. Without a bank they never change: one pass serves all versions."""
        if bank is not None:
            return self._backbone.encode(batch, bank)
        if self._plain is None:
            self._plain = self._backbone.encode(batch)
        return self._plain


def empty_bank(description: Description) -> Bank:
    """One row that changes nothing: what a version without prefixes is served under."""
    layers, _, heads, _, _ = shape = description.prefix_shape(0)
    return Bank(np.zeros((1, *shape), np.float32), np.zeros((1, layers, heads, 0), np.float32))
