"""The micro-batcher: inputs that wait together go through the backbone together.

There is no waiting for company. Work that arrives while the encoder is free runs at once; what
arrives during a pass forms the next one. Long work is taken in slices, in turn, so that a request
of one input never waits behind all of a request of hundreds.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from serving.forward import Result, Slice, Work, no_classes
from serving.metrics import Metrics
from serving.problems import Problem
from serving.room import check_room
from serving.settings import Batching
from serving.snapshot import Snapshot

Forward = Callable[[Sequence[Slice]], Sequence[Sequence[Result] | Exception]]
"""One pass: for each slice the results of its inputs, or what is wrong. Runs in a thread."""


@dataclass(frozen=True)
class Answer:
    """The results of one work, all from one version."""

    version: int
    results: Sequence[Result]


@dataclass(eq=False)
class _Job:
    """Work under way. The snapshot is taken with its first slice and kept to its last."""

    work: Work
    answer: asyncio.Future[Answer]
    snapshot: Snapshot | None = None
    taken: int = 0
    results: list[Result] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        return len(self.work.inputs) - self.taken


class Batcher:
    """Bounded queue in front of one worker thread. Used from one event loop."""

    def __init__(
        self,
        forward: Forward,
        current: Callable[[], Snapshot | None],
        batching: Batching,
        queue_depth: int,
        metrics: Metrics,
    ) -> None:
        self._forward = forward
        self._current = current
        self._size = batching.inputs
        self._queue_depth = queue_depth
        self._metrics = metrics
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._pace = 0.0  # seconds an input takes, as last seen; 0 while unknown
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._stopping = False
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Inputs not yet taken into a pass."""
        return sum(job.remaining for job in self._jobs if not job.answer.done())

    def start(self) -> None:
        """Starts taking work on the running event loop."""
        self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="batcher")

    async def stop(self) -> None:
        """Refuses what waits, and returns after the pass that is running."""
        self._stopping = True
        while self._jobs:
            job = self._jobs.popleft()
            if not job.answer.done():
                job.answer.set_exception(_shutting_down())
        self._arrived.set()
        if self._loop_task is not None:
            await self._loop_task
        await asyncio.to_thread(self._worker.shutdown)

    async def submit(self, work: Work) -> Answer:
        """The answer to all inputs of the work. Cancelling this drops what is not yet in a pass.

        Raises Problem: overloaded (the queue is full), or what is wrong with this work.
        """
        if self._stopping:
            raise _shutting_down()
        self.check_room(len(work.inputs))
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._metrics.set("perennial_queue_depth", self.waiting)
        self._arrived.set()
        return await job.answer

    def check_room(self, more: int) -> None:
        """Whether so many inputs more may wait. Raises Problem overloaded."""
        waiting = self.waiting
        check_room(
            waiting,
            more,
            self._queue_depth,
            metrics=self._metrics,
            what="inputs are waiting",
            retry_after=max(1, math.ceil(waiting * self._pace)),
        )

    async def _run(self) -> None:
        while not self._stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while slices := self._next_slices():
                await self._pass([job for job, _ in slices], [one for _, one in slices])

    def _next_slices(self) -> list[tuple[_Job, Slice]]:
        """Up to a batch of inputs, from the front; work that is not finished goes to the back."""
        slices: list[tuple[_Job, Slice]] = []
        room = self._size
        current = self._current()
        unfinished: list[_Job] = []
        while room and self._jobs:
            job = self._jobs.popleft()
            if job.answer.done():
                continue
            job.snapshot = job.snapshot or job.work.pinned or current
            if job.snapshot is None:
                job.answer.set_exception(no_classes())
                continue
            stop = job.taken + min(room, job.remaining)
            slices.append((job, Slice(job.work, job.snapshot, job.taken, stop)))
            room -= stop - job.taken
            job.taken = stop
            if job.remaining:
                unfinished.append(job)
        self._jobs.extend(unfinished)
        self._metrics.set("perennial_queue_depth", self.waiting)
        return slices

    async def _pass(self, jobs: Sequence[_Job], slices: Sequence[Slice]) -> None:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        outcomes: Sequence[Sequence[Result] | Exception]
        try:
            outcomes = await loop.run_in_executor(self._worker, self._forward, slices)
        except Exception as error:  # noqa: BLE001  each waiting request must hear of it
            outcomes = [error] * len(slices)
        self._record(sum(len(one) for one in slices), time.perf_counter() - started)
        for job, outcome in zip(jobs, outcomes, strict=True):
            _settle(job, outcome)

    def _record(self, inputs: int, seconds: float) -> None:
        self._pace = seconds / inputs
        self._metrics.observe("perennial_batch_size", inputs)
        self._metrics.observe("perennial_encode_seconds", seconds)
        self._metrics.add("perennial_inputs", inputs)


def _shutting_down() -> Problem:
    return Problem("not-ready", "the server is shutting down")


def _settle(job: _Job, outcome: Sequence[Result] | Exception) -> None:
    if job.answer.done():
        return
    if isinstance(outcome, Exception):
        job.answer.set_exception(outcome)
        return
    job.results.extend(outcome)
    if len(job.results) == len(job.work.inputs):
        assert job.snapshot is not None
        job.answer.set_result(Answer(job.snapshot.version, job.results))
