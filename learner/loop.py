"""The learner: takes batches from the intake, publishes versions. One unit of work at a time.

A unit is a *refresh* (all waiting batches into statistics and heads, a version at once) or a
*training* (the prompt of one task, tried by the gate). Batches that arrive while a prompt trains
are refreshed between its steps. All state is in the store: a learner that dies is replaced by
another that reads it, and what was not committed is done again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from backbones import TrainableBackbone
from learner.archive import METHOD, Archive
from learner.config import LearnerConfig
from learner.errors import Cancelled, ForeignStore, Unlearnable
from learner.events import Emit, Event, discard
from learner.knowledge import Knowledge
from learner.methods.base import Method, MethodState
from learner.publisher import Entry, Publisher, descends
from learner.refresh import learn_batch, refit
from learner.training import (
    Decision,
    accept,
    as_candidate,
    complete,
    decide,
    is_trainable,
    train_prompt,
)
from prompt_store import Batch, Kind, Manifest, MethodReference, Store, Timeline

log = logging.getLogger(__name__)

BATCHES_A_REFRESH = 64
"""Waiting batches one refresh takes, so that a backlog is published step by step."""


class Learner:
    """Learns from a store's intake into its log. Call from one thread only."""

    def __init__(
        self,
        store: Store,
        backbone: TrainableBackbone,
        method: Method,
        config: LearnerConfig,
        *,
        writer: str = "learner",
        emit: Emit = discard,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._backbone = backbone
        self._method = method
        self._method_reference = MethodReference(name=method.name, config_digest=method.digest)
        self._config = config
        self._emit = emit
        self._stopping = stopping
        self._archive = Archive(store.blobs)
        self._publisher = Publisher(
            store, writer, backbone.description.fingerprint, self._method_reference
        )
        self._base: Manifest | None = None
        self._knowledge = Knowledge()
        self._task_of: dict[str, str] = {}

    def start(self) -> None:
        """Fence off every other learner and settle what a predecessor left unsettled.

        Raises ForeignStore where the store was learnt with another backbone.
        """
        self._publisher.fence()
        self._catch_up()

    def step(self) -> bool:
        """Do one unit of work, if there is any; returns whether there was.

        Raises Superseded when another learner took over, Cancelled when told to stop.
        """
        timeline = self._catch_up()
        if not self._knowledge.is_complete:
            self._complete()
            return True
        if self._refresh_waiting(timeline):
            return True
        if timeline.undecided:
            self._train_next(timeline)
            return True
        return False

    def _catch_up(self) -> Timeline:
        """Know what is live now, and settle what was decided."""
        timeline = self._publisher.timeline()
        live = None if timeline.live is None else self._store.manifest(timeline.live)
        if live is not None and (self._base is None or live.version != self._base.version):
            self._check_backbone(live)
            self._knowledge = self._archive.read(live)
        self._base = live
        self._publisher.settle_decided(timeline)
        return timeline

    def _check_backbone(self, live: Manifest) -> None:
        mine = self._backbone.description
        if live.backbone != mine.fingerprint:
            raise ForeignStore(
                f"version {live.version} was learnt with backbone {live.backbone}, this learner "
                f"has {mine.name} ({mine.fingerprint}): start it with that one, or on another store"
            )

    # -- refresh

    def _refresh_waiting(self, timeline: Timeline) -> bool:
        """Learn every batch no version names yet; whether there was any."""
        waiting = [b for b in self._store.intake.pending() if timeline.learnt_by(b) is None]
        if not waiting:
            return False
        batches = [self._store.intake.read(batch_id) for batch_id in waiting]
        batches.sort(key=lambda batch: (batch.received_at, batch.id))
        self._refresh(batches[:BATCHES_A_REFRESH])
        return True

    def _refresh(self, batches: list[Batch]) -> None:
        started = time.process_time()
        for batch in batches:
            self._tell("progress", [batch.id], task=batch.task, phase="refreshing")
        while batches:
            knowledge, batches = self._learn(batches)
            if batches and self._publish_refresh(knowledge, batches, started):
                return

    def _learn(self, batches: list[Batch]) -> tuple[Knowledge, list[Batch]]:
        knowledge, learnt = self._knowledge, []
        for batch in batches:
            try:
                knowledge = learn_batch(knowledge, batch, self._backbone)
                learnt.append(batch)
            except Unlearnable as error:
                self._publisher.fail(batch, str(error))
                self._tell("failed", [batch.id], task=batch.task, message=str(error))
        return knowledge, learnt

    def _publish_refresh(self, knowledge: Knowledge, batches: list[Batch], started: float) -> bool:
        knowledge = refit(knowledge, self._config)
        done = [b for b in batches if not is_trainable(knowledge.tasks[b.task], self._config)]
        self._task_of |= {batch.id: batch.task for batch in batches}
        return self._publish(
            Entry(
                Kind.REFRESH,
                knowledge,
                self._archive.write(knowledge) | self._lineage_blobs(),
                batches=[batch.id for batch in batches],
                decided=[batch.id for batch in done],
                metrics={"refresh_cpu_seconds": time.process_time() - started},
            )
        )

    def _complete(self) -> None:
        """A candidate was promoted by hand: give it the features and heads it still lacks."""
        knowledge = complete(self._knowledge, self._backbone, self._config)
        blobs = self._archive.write(knowledge) | self._lineage_blobs()
        self._publish(Entry(Kind.REFRESH, knowledge, blobs))

    # -- training

    def _train_next(self, timeline: Timeline) -> None:
        oldest = min(timeline.undecided, key=lambda b: (timeline.undecided[b], b))
        task = self._task(oldest)
        batches = [b for b in timeline.undecided if self._task(b) == task]
        gone = self._undone(timeline, batches)
        if gone:
            self._release(gone)
        else:
            self._train(task, batches)

    def _undone(self, timeline: Timeline, batches: list[str]) -> list[str]:
        """Those of `batches` that a rollback has taken out of what is live."""
        learnt_by = timeline.undecided
        return [b for b in batches if not descends(self._store, self._base, learnt_by[b])]

    def _task(self, batch_id: str) -> str:
        if batch_id not in self._task_of:
            self._task_of[batch_id] = self._store.intake.read(batch_id).task
        return self._task_of[batch_id]

    def _release(self, batches: list[str], gate: dict[str, Any] | None = None) -> None:
        """Decide batches without a prompt, by a version with the same content.

        Without a gate report they are batches that a rollback undid: not learnt again unasked.
        """
        assert self._base is not None, "only a version can have learnt a batch"
        blobs = dict(self._base.blobs)
        self._publish(Entry(Kind.REFRESH, self._knowledge, blobs, decided=batches, gate=gate))

    def _train(self, task: str, batches: list[str]) -> None:
        started = time.process_time()
        self._tell("progress", batches, task=task, phase="training")
        try:
            state = self._train_prompt(task, batches)
        except ArithmeticError as error:
            log.warning("the prompt of task %r could not be trained: %s", task, error)
            self._release(batches, gate={"task": task, "accepted": False, "reason": str(error)})
            return
        published = False
        while not published and not self._undone(self._catch_up(), batches):
            self._tell("progress", batches, task=task, phase="evaluating")
            decision = decide(self._knowledge, task, state, self._backbone, self._config)
            published = self._publish_decision(decision, batches, started)

    def _train_prompt(self, task: str, batches: list[str]) -> MethodState:
        last_look = time.monotonic()

        def report(epoch: int, epochs: int, loss: float, seconds: float) -> None:
            nonlocal last_look
            if self._stopping():
                raise Cancelled(f"training of task {task!r} was interrupted")
            if time.monotonic() - last_look < self._config.poll_seconds:
                return
            last_look = time.monotonic()
            self._tell(
                "progress",
                batches,
                task=task,
                phase="training",
                epoch=epoch,
                epochs=epochs,
                loss=loss,
                remaining_seconds=seconds / epoch * (epochs - epoch),
            )
            self._refresh_waiting(self._catch_up())

        knowledge, state = self._knowledge, self._lineage()
        return train_prompt(
            knowledge, task, state, self._method, self._backbone, self._config, report
        )

    def _publish_decision(self, decision: Decision, batches: list[str], started: float) -> bool:
        """Append what the gate made of a candidate; False where it must be tried again."""
        method = self._archive.write_method(decision.state)

        def entry(kind: Kind, knowledge: Knowledge, decided: list[str]) -> Entry:
            return Entry(
                kind,
                knowledge,
                self._archive.write(knowledge) | method,
                decided=decided,
                gate=decision.report(),
                metrics={"train_cpu_seconds": time.process_time() - started},
            )

        if not decision.complete:
            refused = as_candidate(self._knowledge, decision)
            decided = [] if decision.accepted else batches
            if not self._publish(entry(Kind.CANDIDATE, refused, decided), decision.task):
                return False
        if not decision.accepted:
            return True
        accepted = accept(decision, self._backbone, self._config)
        return self._publish(entry(Kind.TRAIN, accepted, batches), decision.task)

    def _lineage(self) -> MethodState:
        """Where training goes on from: the newest state of this very method, else its start."""
        manifest = self._lineage_manifest()
        state = None if manifest is None else self._archive.read_method(manifest)
        return self._method.start(self._backbone.description) if state is None else state

    def _lineage_manifest(self) -> Manifest | None:
        number = self._store.timeline().lineage
        manifest = None if number is None else self._store.manifest(number)
        mine = manifest is not None and manifest.method == self._method_reference
        return manifest if mine else None

    def _lineage_blobs(self) -> dict[str, str]:
        """Carried by every refresh, so that a rollback to it finds its method's state."""
        manifest = self._lineage_manifest()
        blobs = {} if manifest is None else manifest.blobs
        return {role: digest for role, digest in blobs.items() if role.startswith(METHOD)}

    # -- publishing

    def _publish(self, entry: Entry, task: str | None = None) -> bool:
        """Append an entry on top of what is live; False where it must be worked out again."""
        manifest = self._publisher.append(entry, self._base)
        if manifest is None:
            self._catch_up()
            return False
        if manifest.kind.goes_live:
            self._base, self._knowledge = manifest, entry.knowledge
        kinds = {Kind.REFRESH: "refreshed", Kind.TRAIN: "published", Kind.CANDIDATE: "candidate"}
        batches = [*manifest.batches, *manifest.decided]
        self._tell(kinds[manifest.kind], batches, task=task, version=manifest.version)
        return True

    def _tell(self, kind: str, batches: list[str], **facts: object) -> None:
        fields = {"kind": kind, "batches": tuple(dict.fromkeys(batches)), **facts}
        self._emit(Event.model_validate(fields))
