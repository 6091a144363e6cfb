"""The learner: takes batches from the intake, publishes versions. One unit of work at a time.

A unit is a *refresh* (all waiting batches into statistics and heads, a version at once) or a
*training* (the prompt of one task, tried by the gate); before both comes a request to *forget*, and
where int8 is served, a judgement of it comes between them.
Batches that arrive while a prompt trains are refreshed between its steps. All state is in the
store: a learner that dies is replaced by another that reads it, and what was not committed is done
again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from backbones import Backbone, TrainableBackbone
from learner.attempts import OUTER_ERRORS, Attempts
from learner.config import LearnerConfig
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.errors import Cancelled, Interrupted, Unlearnable
from learner.events import Emit, discard
from learner.forgetting import forget, is_for, passed_over, report, spared
from learner.housekeeping import Housekeeping
from learner.int8 import Int8Judge
from learner.knowledge import Knowledge
from learner.methods.base import Method, MethodState
from learner.prequential import answered_before
from learner.publisher import FORGOTTEN, Entry
from learner.refresh import learn_batch, refit
from learner.standing import Standing
from learner.training import (
    Decision,
    accept,
    as_candidate,
    complete,
    decide,
    is_by_domain,
    is_trainable,
    parted,
    start_state,
    train_prompt,
)
from prompt_store import (
    Batch,
    Corrupt,
    Erasure,
    Kind,
    MethodReference,
    RetentionConfig,
    Store,
    Timeline,
)

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
        int8: Backbone | None = None,
        retention: RetentionConfig | None = None,
    ) -> None:
        """int8: what replicas serve with where this learner finds it as good; None: none does.

        retention: what is kept of the store's past; None: all.
        """
        self._store = store
        self._encoder = ExampleEncoder(backbone, store.blobs.get)
        self._method = method
        self._config = config
        self._stopping = stopping
        reference = MethodReference(name=method.name, config_digest=method.digest)
        fingerprint = backbone.description.fingerprint
        self._standing = Standing(store, writer, fingerprint, reference, emit)
        self._int8 = None if int8 is None else Int8Judge(int8, self._encoder)
        self._housekeeping = None if retention is None else Housekeeping(store, retention)
        self._attempts = Attempts()
        self._task_of: dict[str, str] = {}
        self._parted: list[str] = []

    def start(self) -> None:
        """Fence off every other learner and settle what a predecessor left unsettled.

        Raises ForeignStore where the store was learnt with another backbone.
        """
        self._standing.publisher.fence()
        self._standing.catch_up()

    def step(self) -> bool:
        """Do one unit of work, if there is any; returns whether there was.

        Raises Superseded when another learner took over, Cancelled when told to stop.
        """
        timeline = self._standing.catch_up()
        if self._housekeeping is not None:
            self._housekeeping.look()
        if not self._knowledge.is_complete:
            self._complete()
            return True
        if self._forget_asked(timeline) or self._refresh_waiting(timeline) or self._judge_int8():
            return True
        if timeline.undecided:
            self._train_next(timeline)
            return True
        return self._train_parted()

    @property
    def _knowledge(self) -> Knowledge:
        return self._standing.knowledge

    # -- refresh

    def _refresh_waiting(self, timeline: Timeline) -> bool:
        """Learn every batch no version names yet; whether there was any."""
        batches = self._waiting(timeline)
        if not batches:
            return False
        chosen = [b for b in batches if not self._attempts[b.id]][:BATCHES_A_REFRESH]
        if not chosen:  # all have failed before: one by one, so that the culprit shows
            chosen = [min(batches, key=lambda batch: self._attempts[batch.id])]
        try:
            with self._standing.span("refresh", [batch.id for batch in chosen]):
                self._refresh(chosen)
        except OUTER_ERRORS:
            raise
        except Exception as error:
            used_up = [batch for batch in chosen if self._attempts.are_used_up_by(batch.id)]
            if len(chosen) > 1 or not used_up:
                raise
            log.exception("batch %s failed again and is given up", chosen[0].id)
            self._fail(chosen[0], f"learning it failed: {type(error).__name__}: {error}")
        return True

    def _waiting(self, timeline: Timeline) -> list[Batch]:
        pending = self._store.intake.pending()
        waiting = [b for b in pending if timeline.learnt_by(b) is None]
        batches = [batch for batch_id in waiting if (batch := self._readable(batch_id))]
        return sorted(batches, key=lambda batch: (batch.received_at, batch.id))

    def _readable(self, batch_id: str) -> Batch | None:
        """A waiting batch; None, and said aloud once, where its record is damaged."""
        try:
            batch = self._store.intake.read(batch_id)
        except Corrupt as error:
            if not self._attempts[batch_id]:
                log.error("batch %s cannot be read and is passed over", batch_id)
                self._standing.tell("failed", [], message=str(error))
                self._attempts.are_used_up_by(batch_id)
            return None
        self._standing.know(batch)
        return batch

    def _refresh(self, batches: list[Batch]) -> None:
        started = time.process_time()
        for batch in batches:
            self._standing.tell("progress", [batch.id], task=batch.task, phase="refreshing")
        while batches:
            knowledge, batches = self._learn(batches)
            if batches and self._publish_refresh(knowledge, batches, started):
                return

    def _learn(self, batches: list[Batch]) -> tuple[Knowledge, list[Batch]]:
        knowledge, learnt = self._knowledge, []
        for batch in batches:
            try:
                knowledge = learn_batch(knowledge, batch, self._encoder)
                learnt.append(batch)
            except Unlearnable as error:
                self._fail(batch, str(error))
        return knowledge, learnt

    def _publish_refresh(self, knowledge: Knowledge, batches: list[Batch], started: float) -> bool:
        training = {b.task for b in batches if is_trainable(knowledge.tasks[b.task], self._config)}
        busy = self._busy(training)
        before = self._knowledge
        prequential = answered_before(before, knowledge)
        knowledge = refit(knowledge, self._config, self._encoder, busy)
        done = [b for b in batches if not is_trainable(knowledge.tasks[b.task], self._config)]
        self._task_of |= {batch.id: batch.task for batch in batches}
        published = self._standing.publish(
            Entry(
                Kind.REFRESH,
                knowledge,
                self._standing.archive.write(knowledge) | self._standing.lineage_blobs(),
                batches=[batch.id for batch in batches],
                decided=[batch.id for batch in done],
                prequential=prequential,
                metrics={"refresh_cpu_seconds": time.process_time() - started},
            )
        )
        if published and is_by_domain(self._method):
            self._parted += parted(before, knowledge)
        return published

    def _complete(self) -> None:
        """A candidate was promoted by hand: give it the features and heads it still lacks."""
        knowledge = complete(self._knowledge, self._encoder, self._config)
        blobs = self._standing.archive.write(knowledge) | self._standing.lineage_blobs()
        self._standing.publish(Entry(Kind.REFRESH, knowledge, blobs))

    def _judge_int8(self) -> bool:
        """Find out whether live may be served in int8; whether that was still to do.

        A version with the same content says so: what is learnt goes live without waiting for it.
        """
        base = self._standing.base
        if self._int8 is None or base is None or self._int8.has_judged(base):
            return False
        verdict = self._int8.judge(base, self._knowledge)
        if verdict is not None:
            entry = Entry(Kind.REFRESH, self._knowledge, dict(base.blobs), int8=verdict)
            self._standing.publish(entry)
        return True

    def _fail(self, batch: Batch, reason: str) -> None:
        self._standing.publisher.fail(batch, reason)
        self._standing.tell("failed", [batch.id], task=batch.task, message=reason)

    # -- forgetting

    def _forget_asked(self, timeline: Timeline) -> bool:
        """Forget what the oldest request asks for; whether there was one."""
        asked = self._store.erasures.pending()
        if not asked:
            return False
        if self._is_forgotten(asked[0], timeline) or self._forget(asked[0], timeline):
            self._store.erasures.settle(asked[0])
        return True

    def _is_forgotten(self, erasure: Erasure, timeline: Timeline) -> bool:
        """Whether a predecessor committed it and died before it settled the request."""
        newest = self._store.log.kept(timeline.head)
        since = takewhile(lambda manifest: manifest.version > erasure.after, newest)
        return any(manifest.metrics.get("erasure") == erasure.id for manifest in since)

    def _forget(self, erasure: Erasure, timeline: Timeline) -> bool:
        """Commit a version without it. What waits of its task is learnt along, but for that."""
        waiting = [b for b in self._waiting(timeline) if is_for(erasure, b)]
        before, learnt = self._learn_spared(waiting, erasure)
        carries = self._carries_traces_of(erasure.task)
        gone = forget(before, erasure, self._encoder, self._config, carries_traces=carries)
        cut = self._cut_short(erasure, gone.knowledge, [*timeline.undecided, *learnt])
        busy = {self._task(b) for b in (*timeline.undecided, *learnt) if b not in cut}
        knowledge = refit(gone.knowledge, self._config, self._encoder, busy, afresh=True)
        drop = gone.examples and any(carries(domain) for domain in self._knowledge.domains)
        method = {} if drop else self._standing.lineage_blobs()
        published = self._standing.publish(
            Entry(
                Kind.FORGET,
                knowledge,
                self._standing.archive.write(knowledge) | method,
                batches=learnt,
                decided=cut,
                metrics=report(gone, erasure, self._knowledge, waiting),
                actor=erasure.actor,
            )
        )
        if published and cut:
            self._parted.append(erasure.task)  # its prompt is still to be trained
        return published

    def _cut_short(self, erasure: Erasure, rest: Knowledge, under_way: list[str]) -> list[str]:
        """Batches of its task that need no training any more, or whose records hold some of it."""
        known = rest.tasks.get(erasure.task)
        trainable = known is not None and is_trainable(known, self._config)
        own = (self._store.intake.read(b) for b in under_way if self._task(b) == erasure.task)
        return [batch.id for batch in own if not trainable or passed_over(batch, erasure)]

    def _learn_spared(self, batches: list[Batch], erasure: Erasure) -> tuple[Knowledge, list[str]]:
        """Knowledge with what an erasure leaves of batches, and those that are learnt."""
        knowledge, learnt = self._knowledge, []
        for batch in batches:
            rest = spared(batch, erasure)
            try:
                if not rest.examples:
                    raise Unlearnable(FORGOTTEN)
                knowledge = learn_batch(knowledge, rest, self._encoder)
                learnt.append(batch.id)
            except Unlearnable as error:
                self._fail(batch, str(error))
            except OUTER_ERRORS:
                raise
            except Exception as error:
                if not self._attempts.are_used_up_by(batch.id):
                    raise
                log.exception("batch %s failed again and is given up", batch.id)
                self._fail(batch, f"learning it failed: {type(error).__name__}: {error}")
        return knowledge, learnt

    def _carries_traces_of(self, task: str) -> Callable[[Domain], bool]:
        """Which domains' prompts may have been trained beside a task's rows."""
        prompted = [d for d in self._knowledge.domains if d.prompt is not None]
        if is_by_domain(self._method) and all(domain.taught for domain in prompted):
            return lambda domain: task in domain.taught
        everywhere = self._standing.may_carry_traces_of(task)
        return lambda domain: everywhere

    # -- training

    def _train_next(self, timeline: Timeline) -> None:
        oldest = min(timeline.undecided, key=lambda b: (timeline.undecided[b], b))
        task = self._task(oldest)
        batches = [b for b in timeline.undecided if self._task(b) == task]
        gone = self._standing.undone(timeline, batches)
        if gone:
            self._release(gone)
        else:
            self._train(task, batches)

    def _train_parted(self) -> bool:
        """Train a domain that came about when tasks were told apart; whether there was one."""
        while self._parted:
            task = self._parted.pop()
            known = self._knowledge.tasks.get(task)
            if known is not None and is_trainable(known, self._config):
                self._train(task, [])
                return True
        return False

    def _busy(self, learning: set[str]) -> set[str]:
        """Tasks with batches whose prompts are undecided, or that are just being learnt."""
        return learning | {self._task(b) for b in self._store.timeline().undecided}

    def _task(self, batch_id: str) -> str:
        if batch_id not in self._task_of:
            batch = self._store.intake.read(batch_id)
            self._standing.know(batch)
            self._task_of[batch_id] = batch.task
        return self._task_of[batch_id]

    def _release(self, batches: list[str], gate: dict[str, Any] | None = None) -> None:
        """Decide batches without a prompt, by a version with the same content.

        Without a gate report they are batches that a rollback undid: not learnt again unasked.
        """
        base = self._standing.base
        assert base is not None, "only a version can have learnt a batch"
        blobs = dict(base.blobs)
        self._standing.publish(
            Entry(Kind.REFRESH, self._knowledge, blobs, decided=batches, gate=gate, int8=base.int8)
        )

    def _train(self, task: str, batches: list[str]) -> None:
        started = time.process_time()
        self._standing.tell("progress", batches, task=task, phase="training")
        try:
            with self._standing.span("training", batches):
                state = self._train_prompt(task, batches)
        except Interrupted as interruption:
            log.info("%s", interruption)
            return
        except OUTER_ERRORS:
            raise
        except Exception as error:
            if not isinstance(error, ArithmeticError) and not self._attempts.are_used_up_by(task):
                raise
            log.exception("the prompt of task %r could not be trained", task)
            if not batches:
                return
            reason = f"training failed: {type(error).__name__}: {error}"
            self._release(batches, gate={"task": task, "accepted": False, "reason": reason})
            return
        published = False
        while not published and not self._standing.undone(self._standing.catch_up(), batches):
            if not self._knowledge.is_complete:
                self._complete()
                continue
            self._standing.tell("progress", batches, task=task, phase="evaluating")
            knowledge = self._knowledge
            with self._standing.span("gate", batches):
                decision = decide(knowledge, task, state, self._method, self._encoder, self._config)
            published = self._publish_decision(decision, batches, started)
        if published and not is_by_domain(self._method):
            self._standing.remember(state)

    def _train_prompt(self, task: str, batches: list[str]) -> MethodState:
        last_look = time.monotonic()

        def report(epoch: int, epochs: int, loss: float, seconds: float) -> None:
            nonlocal last_look
            if self._stopping():
                raise Cancelled(f"training of task {task!r} was interrupted")
            if time.monotonic() - last_look < self._config.poll_seconds:
                return
            last_look = time.monotonic()
            self._standing.tell(
                "progress",
                batches,
                task=task,
                phase="training",
                epoch=epoch,
                epochs=epochs,
                loss=loss,
                remaining_seconds=seconds / epoch * (epochs - epoch),
            )
            timeline = self._standing.catch_up()
            if self._store.erasures.pending() or not self._knowledge.is_complete:
                raise Interrupted(f"the training of task {task!r} gives way and begins anew")
            if not self._refresh_waiting(timeline):
                self._judge_int8()

        knowledge = self._knowledge
        description = self._encoder.description
        state = start_state(knowledge, self._method, self._standing.lineage(), description)
        return train_prompt(
            knowledge, task, state, self._method, self._encoder, self._config, report
        )

    def _giving_way(self, epoch: int, epochs: int, loss: float, seconds: float) -> None:
        """Progress of work that nobody waits for. Raises Cancelled where the learner is to stop."""
        if self._stopping():
            raise Cancelled("the learner was told to stop")

    def _publish_decision(self, decision: Decision, batches: list[str], started: float) -> bool:
        """Append what the gate made of a candidate; False where it must be tried again."""
        method = {}
        if not is_by_domain(self._method):
            method = self._standing.archive.write_method(decision.state)

        def entry(kind: Kind, knowledge: Knowledge, decided: list[str]) -> Entry:
            return Entry(
                kind,
                knowledge,
                self._standing.archive.write(knowledge) | method,
                decided=decided,
                gate=decision.report(),
                metrics={"train_cpu_seconds": time.process_time() - started},
            )

        if not decision.complete:
            refused = as_candidate(self._knowledge, decision)
            decided = [] if decision.accepted else batches
            if not self._standing.publish(entry(Kind.CANDIDATE, refused, decided), decision.task):
                return False
        if not decision.accepted:
            return True
        busy = self._busy(set()) - {decision.task}
        accepted = accept(decision, self._encoder, self._config, self._giving_way, busy)
        return self._standing.publish(entry(Kind.TRAIN, accepted, batches), decision.task)
