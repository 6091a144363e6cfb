"""How a learner writes: fenced commits to the log, and batches settled after them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from learner.content import class_id
from learner.errors import Superseded
from learner.knowledge import Knowledge
from prompt_store import (
    Actor,
    Batch,
    Conflict,
    Draft,
    FencedOut,
    Int8Verdict,
    Kind,
    Manifest,
    MethodReference,
    NotFound,
    Outcome,
    Prequential,
    Store,
    TaskEntry,
    Timeline,
)

log = logging.getLogger(__name__)

FORGOTTEN = "what it taught was forgotten"
RELEASED = "a rollback undid this batch before its prompt was trained; send it again to learn it"


@dataclass(frozen=True, eq=False)
class Entry:
    """What a learner wants to append: the parts of a manifest that change from entry to entry."""

    kind: Kind
    knowledge: Knowledge
    blobs: dict[str, str]
    batches: Sequence[str] = ()
    decided: Sequence[str] = ()
    gate: dict[str, Any] | None = None
    int8: Int8Verdict | None = None
    prequential: dict[str, Prequential] = field(default_factory=dict)
    metrics: dict[str, float | int | str] = field(default_factory=dict)
    actor: Actor | None = None


class Publisher:
    """Appends for one learner, under one epoch."""

    def __init__(self, store: Store, writer: str, backbone: str, method: MethodReference) -> None:
        self._store = store
        self._writer = writer
        self._backbone = backbone
        self._method = method
        self._epoch = 0

    def fence(self) -> None:
        """Begin a new epoch: no learner of an older one can commit from here on."""
        self._epoch = self._store.fence(self._writer)

    def timeline(self) -> Timeline:
        """The log so far. Raises Superseded once another learner has begun an epoch."""
        timeline = self._store.timeline()
        if timeline.epoch > self._epoch:
            raise Superseded(f"epoch {timeline.epoch} has begun, this learner's is {self._epoch}")
        return timeline

    def append(self, entry: Entry, parent: Manifest | None) -> Manifest | None:
        """Commit an entry that was worked out on top of `parent`.

        None where live is no longer `parent` or somebody else took the number: look again.
        """
        timeline = self.timeline()
        version = None if parent is None else parent.version
        if timeline.live != version:
            return None
        try:
            manifest = self._store.append(self._draft(entry, version), after=timeline.head)
        except Conflict:
            log.info("another writer committed first; looking again")
            return None
        except FencedOut as error:
            raise Superseded(str(error)) from error
        for batch_id in manifest.decided:
            self._settle(batch_id, manifest)
        return manifest

    def settle_decided(self, timeline: Timeline) -> None:
        """Settle what was decided and not settled, by whomever. Repeating it changes nothing."""
        for batch_id, version in timeline.decided.items():
            if self._store.intake.outcome(batch_id) is None:
                self._settle(batch_id, self._store.manifest(version))

    def fail(self, batch: Batch, reason: str) -> None:
        """Settle a batch that no manifest will ever name."""
        outcome = Outcome(batch=batch.id, task=batch.task, status="failed", error=reason)
        self._store.intake.settle(outcome)

    def _settle(self, batch_id: str, manifest: Manifest) -> None:
        try:
            batch = self._store.intake.read(batch_id)
        except NotFound:
            return  # settled by a twin of this learner
        task, reason = batch.task, _reason_to_fail(batch, manifest)
        if reason is not None:
            outcome = Outcome(batch=batch_id, task=task, status="failed", error=reason)
        else:
            outcome = Outcome(
                batch=batch_id, task=task, status="published", version=manifest.version
            )
        self._store.intake.settle(outcome)

    def _draft(self, entry: Entry, parent: int | None) -> Draft:
        return Draft(
            kind=entry.kind,
            parent=parent,
            epoch=self._epoch,
            writer=self._writer,
            backbone=self._backbone,
            method=self._method,
            labels=entry.knowledge.labels,
            tasks=task_entries(entry.knowledge),
            blobs=entry.blobs,
            batches=tuple(entry.batches),
            decided=tuple(entry.decided),
            gate=entry.gate,
            arrangement=entry.knowledge.arrangement,
            int8=entry.int8,
            prequential=entry.prequential,
            metrics={**entry.knowledge.metrics, **entry.metrics},
            actor=entry.actor,
        )


def _reason_to_fail(batch: Batch, manifest: Manifest) -> str | None:
    """Why a version decided a batch only to let go of it; None where it learnt or judged it."""
    if manifest.kind is Kind.FORGET:
        taught = {class_id(batch.task, one.label) for one in batch.examples}
        return FORGOTTEN if taught.isdisjoint(manifest.labels) else None
    released = manifest.kind is Kind.REFRESH and manifest.gate is None
    return RELEASED if released and batch.id not in manifest.batches else None


def task_entries(knowledge: Knowledge) -> dict[str, TaskEntry]:
    """What a manifest says about each task. Rows as `Content` numbers them."""
    own = [name for name, task in knowledge.tasks.items() if task.prompt is not None]
    row = {name: len(knowledge.domains) + place for place, name in enumerate(own)}
    return {
        name: TaskEntry(
            classes=len(task.examples.labels),
            examples=sum(task.examples.seen.values()),
            row=row.get(name),
            mode="prompt" if name in row else "aggregate",
            domain=knowledge.domain_of(name).name,
        )
        for name, task in knowledge.tasks.items()
    }


def descends(store: Store, live: Manifest | None, version: int) -> bool:
    """Whether live's content grew out of a version's (not so once a rollback went behind it)."""
    while live is not None and live.version > version:
        before = live.source if live.source is not None else live.parent
        if before is None or before < version:
            return False  # retention may have dropped what it grew out of
        live = store.manifest(before)
    return live is not None and live.version == version
