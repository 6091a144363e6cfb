"""The split: unpinned work goes to live or to the canary, and the two are compared.

route      the canary answers its share; where it fails, live answers
shadow     of a sample of that share, live's answer is computed too, when nothing else waits
judge      harm ends the canary: here at once, everywhere by the log
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from prompt_store import StoreError
from serving.batcher import Answer, Batcher
from serving.canary import ServedCanary
from serving.comparison import Arm, Comparison
from serving.feedback import Judged
from serving.forward import Work
from serving.metrics import Metrics
from serving.problems import Problem
from serving.swap import Watcher

logger = logging.getLogger(__name__)

SHADOWED_PERCENT: Final = 10.0
"""Of unpinned requests, those that live answers as well as the canary, at most."""
SHADOWS: Final = 64
"""Inputs that may wait for live's answer as well; a quarter of the queue at most."""
_AGAIN: Final = 1.0
"""Seconds until the store is tried again that did not take the end of a canary."""

End = Callable[[int, str], Awaitable[None]]
"""Ends the canary of this entry, for this reason, in the log."""


@dataclass(eq=False)
class Run:
    """A canary and how it does here. ending: no more requests are for it, whatever the log says."""

    canary: ServedCanary
    comparison: Comparison
    ending: bool = False


class Split:
    """What stands between unpinned requests and the batcher. Used from one event loop."""

    def __init__(
        self, batcher: Batcher, watcher: Watcher, metrics: Metrics, queue_depth: int, end: End
    ) -> None:
        self._batcher = batcher
        self._watcher = watcher
        self._metrics = metrics
        self._end = end
        self._room = min(SHADOWS, queue_depth // 4)
        self._run: Run | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def run(self) -> Run | None:
        """The canary that is under way, as far as this replica knows."""
        canary = self._watcher.canary
        if canary is None:
            self._run = None
        elif self._run is None or self._run.canary is not canary:
            self._run = Run(canary, Comparison(canary.terms.rules, self._metrics))
        return self._run

    async def submit(self, work: Work, caller: str | None) -> Answer:
        """The answer to unpinned work. caller: who asks, None for whoever asks the same."""
        run = self.run
        if run is None or run.ending:
            return await self._batcher.submit(work)
        if not run.canary.takes(work, caller):
            return await self._timed(run, "live", work)
        try:
            answer = await self._timed(run, "canary", replace(work, pinned=run.canary.snapshot))
        except Exception as error:
            if isinstance(error, Problem) and error.status_code in (429, 503):
                raise  # nobody could have answered
            answer = await self._batcher.submit(work)
            logger.exception("the canary failed a request, which live has answered")
            run.comparison.failed()
            self._judge(run)
        else:
            self._shadow(run, work, answer)
        return answer

    def heard(self, judged: Judged) -> None:
        """The truth about a prediction, the first time it is told."""
        if (run := self.run) is not None:
            run.comparison.heard(judged)
            self._judge(run)

    async def stop(self) -> None:
        """Ends what nobody waits for."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _timed(self, run: Run, arm: Arm, work: Work) -> Answer:
        started = time.perf_counter()
        answer = await self._batcher.submit(work)
        comparable = len(work.inputs) == 1 and not work.patient
        run.comparison.answered(arm, time.perf_counter() - started if comparable else None)
        self._judge(run)
        return answer

    # The same asked of live

    def _shadow(self, run: Run, work: Work, answer: Answer) -> None:
        live = self._watcher.snapshot
        count = min(len(work.inputs), self._room)
        if (
            live is None
            or not count
            or random.random() * run.canary.terms.percent > SHADOWED_PERCENT
        ):
            return
        self._room -= count
        for result in answer.results[:count]:
            run.comparison.expect(result.id)
        read = work.read.select(np.arange(count))
        inputs = work.inputs[:count]
        asked = replace(work, inputs=inputs, read=read, top_k=1, pinned=live, patient=True)
        self._start(self._compare(run, asked, answer))

    async def _compare(self, run: Run, work: Work, answer: Answer) -> None:
        try:
            shadow = await self._batcher.submit(work)
        except Exception as error:  # noqa: BLE001  live may not know the task, the queue be full
            logger.debug("live did not answer what the canary did: %s", error)
            return
        finally:
            self._room += len(work.inputs)
        for mine, other in zip(answer.results, shadow.results, strict=False):
            run.comparison.compare(mine, other)
        self._judge(run)

    # Harm

    def _judge(self, run: Run) -> None:
        reason = None if run.ending else run.comparison.harm()
        if reason is not None:
            logger.warning("the canary is ended: %s", reason)
            run.ending = True
            self._metrics.add("perennial_canary_stops", reason=reason.partition(":")[0])
            self._start(self._end_in_the_log(run, reason))

    async def _end_in_the_log(self, run: Run, reason: str) -> None:
        """Until the store takes it, or somebody else has ended it."""
        while self._watcher.canary is run.canary:
            try:
                await self._end(run.canary.entry.version, reason)
                return
            except (StoreError, OSError) as error:
                logger.warning("the canary's end is not in the log yet: %s", error)
            await asyncio.sleep(_AGAIN)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
