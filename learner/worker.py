"""A learner at work: looks for units of work until told to stop, gives way to serving, survives.

What goes wrong once is logged and tried again after a pause that grows; no batch is lost by it,
because nothing is taken out of the intake before a version names it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from backbones import Backbone, TrainableBackbone
from learner.config import LearnerConfig
from learner.errors import Cancelled, ForeignStore, Superseded
from learner.events import Emit, Event, discard
from learner.matrix_threads import bound_blas
from prompt_store import RetentionConfig, Store

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
TAKEOVER_SECONDS = 20.0
"""A live learner commits a waiting batch well within this, even while it trains."""


class Worker:
    """Runs a learner in the calling thread. `wake` and `stop` may be called from any other."""

    def __init__(
        self,
        store: Store,
        load_backbone: Callable[[], TrainableBackbone],
        config: LearnerConfig,
        *,
        writer: str,
        emit: Emit = discard,
        load_int8: Callable[[], Backbone] | None = None,
        retention: RetentionConfig | None = None,
    ) -> None:
        """load_int8: the engine that replicas serve int8 with; None where they do not.

        retention: what is kept of the store's past; None: all.
        """
        self._store = store
        self._load_backbone = load_backbone
        self._load_int8 = load_int8
        self._config = config
        self._retention = retention
        self._writer = writer
        self._emit = emit
        self._woken = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        """Look at the intake now instead of at the next poll."""
        self._woken.set()

    def stop(self) -> None:
        """End after the step under way; a training is interrupted between its steps."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Learn until stopped; while another learner holds the store, rest and watch it."""
        give_way(self._config.niceness)
        backbone = self._load_backbone()
        int8 = None if self._load_int8 is None else self._load_int8()
        while not self._stopped.is_set():
            try:
                self._learn(backbone, int8)
            except Cancelled:
                return
            except Superseded as error:
                log.warning("%s; this one rests", error)
                self._emit(Event(kind="failed", message=f"another learner is at work: {error}"))
                self._rest_until_needed()

    def _learn(self, backbone: TrainableBackbone, int8: Backbone | None) -> None:
        from learner.build import build_learner  # torch: who only knows of workers needs none

        bound_blas(self._config.threads)
        learner = build_learner(
            self._store,
            backbone,
            self._config,
            writer=self._writer,
            emit=self._emit,
            stopping=self._stopped.is_set,
            int8=int8,
            retention=self._retention,
        )
        self._persist(learner.start)
        busy = True
        while not self._stopped.is_set():
            worked = self._persist(learner.step)
            if busy and not worked:
                self._emit(Event(kind="idle"))
            busy = worked
            if not worked:
                self._rest(self._config.poll_seconds)

    def _rest_until_needed(self) -> None:
        """Until batches wait and nobody commits anything for a while: then the other is gone."""
        while not self._stopped.is_set():
            head = self._store.timeline().head
            self._stopped.wait(TAKEOVER_SECONDS)
            timeline = self._store.timeline()
            waiting = [b for b in self._store.intake.pending() if timeline.learnt_by(b) is None]
            if waiting and timeline.head == head:
                return

    def _persist(self, act: Callable[[], bool | None]) -> bool:
        """Act; on an unforeseen error pause and act again."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopped.is_set():
            try:
                return bool(act())
            except (Superseded, Cancelled, ForeignStore):
                raise
            except Exception as error:
                log.exception("learning failed; trying again in %.1f s", pause)
                self._emit(Event(kind="failed", message=f"{type(error).__name__}: {error}"))
                self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return False

    def _rest(self, seconds: float) -> None:
        self._woken.wait(seconds)
        if not self._stopped.is_set():
            self._woken.clear()


def give_way(niceness: int) -> None:
    """Let this process run behind others of the same user."""
    current = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness > current:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
