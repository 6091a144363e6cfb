"""The micro-batcher: inputs that wait together go through the backbone together.

There is no waiting for company. Work that arrives while the encoder is free runs at once; what
arrives during a pass is there for the next. Each pass is one that the engine would make of all that
waits, so that inputs of like length share it whoever asked: the one that holds the front of the
queue. Work that got a share goes to the back, so that a request of one input never waits behind
all of a request of hundreds; and patient work, the lines of streams, stands behind all other.

A request may join while its wait is short: the works before it, in the pass or in front, each by as
many inputs as it has itself, times the pace of the last passes. So many requests keep another out,
and a large one never does. Patient work is bounded by its number alone, and keeps nobody out.

The encoder's thread takes its next pass itself and hands results to the event loop: it never
waits for answers to be written.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from backbones import IntArray
from learner import spans
from serving.forward import Result, Slice, Work
from serving.metrics import Metrics
from serving.pace import Pace
from serving.problems import Problem
from serving.room import check_room, check_wait
from serving.settings import Batching, Limits
from serving.snapshot import Snapshot

Forward = Callable[[Sequence[Slice]], Sequence[Sequence[Result] | Exception]]
"""One pass: for each slice the results of its inputs, or what is wrong. Runs in a thread."""
Passes = Callable[[IntArray], Sequence[IntArray]]
"""Positions of the inputs of each pass that suits inputs of these lengths."""


PLANNED: Final = 256
"""Waiting inputs of which the next pass is chosen, from the front."""
PATIENCE: Final = 8
"""A work may wait for so many times what it takes itself: at 80 % load, one in a hundred would."""


@dataclass(frozen=True)
class Answer:
    """The results of one work, all from one version."""

    version: int
    results: Sequence[Result]


@dataclass(eq=False)
class _Job:
    """Work under way. The snapshot is taken with its first pass and kept to its last.

    waiting: inputs not yet taken into a pass;  results: of the others, as they come
    """

    work: Work
    answer: asyncio.Future[Answer]
    waiting: IntArray
    snapshot: Snapshot | None = None
    results: dict[int, Result] = field(default_factory=dict)
    mark: spans.Mark | None = field(default_factory=spans.mark)


class Batcher:
    """Bounded queue in front of one thread that encodes. Used from one event loop."""

    def __init__(
        self,
        forward: Forward,
        passes: Passes,
        current: Callable[[], Snapshot | None],
        batching: Batching,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._forward = forward
        self._passes = passes
        self._current = current
        self._batching = batching
        self._limits = limits
        self._metrics = metrics
        self._pace = Pace()
        self._changed = threading.Condition()  # guards all below
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._works = 0  # that are in `_jobs` and not patient
        self._running: list[int] = []  # inputs in the pass under way, of each that is not patient
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Inputs not yet taken into a pass."""
        return self._waiting

    def start(self) -> None:
        """Starts taking work; answers go to the running event loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="encoder", daemon=True)
        self._thread.start()

    def refuse(self) -> None:
        """Refuses what waits, and what is still to come; the pass that is running ends."""
        with self._changed:
            self._stopping = True
            left = list(self._jobs)
            self._changed.notify()
        for job in left:
            _fail(job, _shutting_down())

    async def stop(self) -> None:
        """Refuses what waits, and returns after the pass that is running."""
        self.refuse()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def submit(self, work: Work) -> Answer:
        """The answer to all inputs of the work. Cancelling this drops what is not yet in a pass.

        Raises Problem: overloaded (the queue is full), or what is wrong with this work.
        """
        if self._stopping:
            raise _shutting_down()
        self.check_room(len(work.inputs), patient=work.patient)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        job = _Job(work, future, np.arange(len(work.inputs)))
        with self._changed:
            self._jobs.append(job)
            self._waiting += len(job.waiting)
            self._works += not work.patient
            self._changed.notify()
        self._metrics.set("perennial_queue_depth", self._waiting)
        try:
            return await future
        finally:
            self._drop(job)

    def check_room(self, more: int, *, patient: bool) -> None:
        """Whether so many inputs more may wait. Raises Problem overloaded."""
        waiting, pace = self._waiting, self._pace.seconds
        retry_after = max(1, math.ceil(waiting * pace))
        check_room(
            waiting,
            more,
            self._limits.queue_depth,
            metrics=self._metrics,
            what="inputs are waiting",
            retry_after=retry_after,
        )
        if not patient:
            wait = self._in_front(more) * pace
            most = max(self._limits.queue_seconds, PATIENCE * more * pace)
            check_wait(wait, most, metrics=self._metrics, retry_after=retry_after)

    def _in_front(self, more: int) -> int:
        """Inputs that work of `more` inputs would wait for."""
        if more == 1:
            return self._works + len(self._running)
        with self._changed:
            waiting = [len(job.waiting) for job in self._jobs if not job.work.patient]
            return sum(min(more, size) for size in self._running + waiting)

    def _drop(self, job: _Job) -> None:
        """Whatever of it still waits is for nobody: it failed, or its client is gone."""
        with self._changed:
            if len(job.waiting):
                self._leave(job)
                self._waiting -= len(job.waiting)
                job.waiting = job.waiting[:0]

    def _leave(self, job: _Job) -> None:
        self._jobs.remove(job)
        self._works -= not job.work.patient

    # In the encoder's thread

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while (taken := self._take(loop)) is not None:
            jobs, slices, more = taken
            started = time.perf_counter()
            with spans.passing([job.mark for job in jobs]):
                outcomes = self._outcomes(slices)
            seconds = time.perf_counter() - started
            self._running = []
            self._pace.record(sum(map(len, slices)), seconds, more=more)
            loop.call_soon_threadsafe(self._settle, jobs, slices, outcomes, seconds)

    def _outcomes(self, slices: Sequence[Slice]) -> Sequence[Sequence[Result] | Exception]:
        """Of a pass. Where one fails, each version goes alone: none takes others' answers along."""
        try:
            return self._forward(slices)
        except Exception as error:  # noqa: BLE001  each waiting request must hear of it
            failed: list[Sequence[Result] | Exception] = [error] * len(slices)
        if len({id(one.snapshot) for one in slices}) == 1:
            return failed
        groups: dict[int, list[int]] = defaultdict(list)
        for place, one in enumerate(slices):
            groups[id(one.snapshot)].append(place)
        for places in groups.values():
            alone = self._outcomes([slices[place] for place in places])
            for place, outcome in zip(places, alone, strict=True):
                failed[place] = outcome
        return failed

    def _take(self, loop: asyncio.AbstractEventLoop) -> tuple[list[_Job], list[Slice], bool] | None:
        """The next pass, as soon as something waits, and whether more does; None at the end."""
        taken: list[tuple[_Job, IntArray]] = []
        while not taken:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopping)
                if self._stopping:
                    return None
                waiting = [
                    (job, job.waiting)
                    for job in sorted(self._jobs, key=lambda job: job.work.patient)
                ]
            try:
                shares = self._next_pass(waiting)  # takes a while: meanwhile work may come and go
            except Exception as error:  # noqa: BLE001  else all would wait for this thread for ever
                loop.call_soon_threadsafe(_fail_all, self._all_of(waiting), error)
                continue
            with self._changed:
                taken = self._taken(shares)
                self._running = [len(index) for job, index in taken if not job.work.patient]
                more = self._waiting > 0
        current = self._current()
        slices = []
        for job, index in taken:
            job.snapshot = job.snapshot or job.work.pinned or current
            assert job.snapshot is not None, "nothing is asked before a version is there"
            slices.append(Slice(job.work, job.snapshot, index))
        return [job for job, _ in taken], slices, more

    def _next_pass(self, waiting: Sequence[tuple[_Job, IntArray]]) -> list[tuple[_Job, IntArray]]:
        """Which places among what waits of each job go into the pass that holds the front."""
        lengths = [job.work.read.lengths[index] for job, index in waiting]
        ends = np.cumsum([len(one) for one in lengths])
        chosen = self._first(np.concatenate(lengths)[:PLANNED])
        shares = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
        return [
            (job, share - (end - len(index)))
            for (job, index), share, end in zip(waiting, shares, ends.tolist(), strict=True)
            if len(share)
        ]

    def _all_of(self, waiting: Sequence[tuple[_Job, IntArray]]) -> list[_Job]:
        """Takes all of these jobs out of the queue."""
        with self._changed:
            shares = self._taken([(job, np.arange(len(index))) for job, index in waiting])
        return [job for job, _ in shares]

    def _taken(self, shares: Sequence[tuple[_Job, IntArray]]) -> list[tuple[_Job, IntArray]]:
        """Takes the shares of jobs that still wait out of the queue, which go to its back."""
        taken: list[tuple[_Job, IntArray]] = []
        for job, places in shares:
            if not len(job.waiting):
                continue  # its client has gone
            taken.append((job, job.waiting[places]))
            job.waiting = np.delete(job.waiting, places)
            if len(job.waiting):
                self._jobs.remove(job)
                self._jobs.append(job)
            else:
                self._leave(job)
        self._waiting -= sum(len(index) for _, index in taken)
        return taken

    def _first(self, lengths: IntArray) -> IntArray:
        """Positions, ascending, of the pass that holds position 0, within the limits."""
        passes = self._passes(lengths)
        chosen = np.sort(next(part for part in passes if (part == 0).any()))
        tokens = self._batching.tokens
        room = self._batching.inputs
        if tokens is not None:
            room = min(room, max(1, tokens // max(1, int(lengths[chosen].max()))))
        return chosen[:room]

    # On the event loop again

    def _settle(
        self,
        jobs: Sequence[_Job],
        slices: Sequence[Slice],
        outcomes: Sequence[Sequence[Result] | Exception],
        seconds: float,
    ) -> None:
        self._record(sum(len(one) for one in slices), seconds)
        for job, one, outcome in zip(jobs, slices, outcomes, strict=True):
            if isinstance(outcome, Exception):
                _fail(job, outcome)
            else:
                job.results.update(zip(one.index.tolist(), outcome, strict=True))
                _answer(job)

    def _record(self, inputs: int, seconds: float) -> None:
        self._metrics.set("perennial_queue_depth", self._waiting)
        self._metrics.observe("perennial_batch_size", inputs)
        self._metrics.observe("perennial_encode_seconds", seconds)
        self._metrics.add("perennial_inputs", inputs)


def _shutting_down() -> Problem:
    return Problem("not-ready", "the server is shutting down")


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


def _fail_all(jobs: Sequence[_Job], error: Exception) -> None:
    for job in jobs:
        _fail(job, error)


def _answer(job: _Job) -> None:
    """To the client, once every input has its result."""
    count = len(job.work.inputs)
    if len(job.results) == count and not job.answer.done():
        assert job.snapshot is not None
        results = [job.results[index] for index in range(count)]
        job.answer.set_result(Answer(job.snapshot.version, results))
