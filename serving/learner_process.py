"""The learner as a process of its own beside a local server: started, watched, restarted, stopped.

Parent and child speak over one pipe in bytes: `wake` and `stop` go down, events come up as JSON. A
child whose parent is gone sees the pipe close and ends; one that outlives it for a moment does no
harm, because a successor's fence keeps it from committing.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from learner.config import LearnerConfig
from learner.errors import Superseded
from learner.events import Event
from prompt_store import Store

log = logging.getLogger(__name__)

WAKE = b"wake"
STOP = b"stop"
SUPERSEDED_EXIT = 3
"""Exit code of a learner that another one has fenced off: it is not restarted."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
PATIENCE_SECONDS = 10.0
"""How long a child may take to stop before it is killed; nothing uncommitted is lost by that."""


class LearnerProcess:
    """Keeps one learner process running. Thread-safe."""

    def __init__(
        self, store: str, backbone: str, config: LearnerConfig, observe: Callable[[Event], None]
    ) -> None:
        self._arguments = (store, backbone, config.model_dump_json())
        self._observe = observe
        self._context = multiprocessing.get_context("spawn")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._pipe: Connection | None = None
        self._process: multiprocessing.process.BaseProcess | None = None
        self._thread = threading.Thread(target=self._supervise, name="learner", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the process running now."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Of the newest process: None while it runs, negative where a signal ended it."""
        return None if self._process is None else self._process.exitcode

    def start(self) -> None:
        """Start the process and keep it running until `stop`."""
        self._thread.start()

    def wake(self) -> None:
        """A batch was accepted."""
        self._say(WAKE)

    def stop(self) -> None:
        """Ask the process to end, wait, and kill it if it does not."""
        log.info("stopping the learner")
        self._stopping.set()
        self._say(STOP)
        self._thread.join(PATIENCE_SECONDS)
        if self._process is not None and self._process.is_alive():
            self._process.kill()
        self._thread.join()

    def _say(self, word: bytes) -> None:
        with self._lock:
            if self._pipe is None:
                return
            try:
                self._pipe.send_bytes(word)
            except OSError:
                log.debug("the learner is not listening; it looks for itself when it is back")

    def _supervise(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            code = self._run_once()
            if code == SUPERSEDED_EXIT:
                log.error("another learner has taken over this store; this server only answers")
                return
            if not self._stopping.wait(pause):  # a signal for both may end the child first
                log.error("the learner ended with %s; restarting it", code)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _run_once(self) -> int | None:
        mine, its = self._context.Pipe()
        process = self._context.Process(
            target=learn_until_stopped, args=(its, *self._arguments), name="perennial-learner"
        )
        process.start()
        its.close()
        with self._lock:
            self._pipe, self._process = mine, process
        self._relay(mine)
        process.join()
        return process.exitcode

    def _relay(self, pipe: Connection) -> None:
        try:
            while True:
                self._observe(Event.model_validate_json(pipe.recv_bytes()))
        except (EOFError, OSError):
            with self._lock:
                self._pipe = None
            pipe.close()


def learn_until_stopped(pipe: Connection, store: str, backbone: str, config_json: str) -> None:
    """The child's main: a worker, and a thread that listens to the parent."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's to handle: it tells by the pipe
        signal.signal(number, signal.SIG_IGN)
    config = LearnerConfig.model_validate_json(config_json)
    from backbones import load  # torch takes seconds to import: not in the parent's way
    from learner.worker import Worker

    worker = Worker(
        Store.open(store),
        lambda: load(backbone, threads=config.threads),
        config,
        writer="local",
        emit=_Sender(pipe),
    )
    threading.Thread(target=_listen, args=(pipe, worker.wake, worker.stop), daemon=True).start()
    try:
        worker.run()
    except Superseded as error:
        log.error("%s", error)
        raise SystemExit(SUPERSEDED_EXIT) from error


class _Sender:
    """Sends events to the parent; a parent that is gone is no reason to fail."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __call__(self, event: Event) -> None:
        try:
            self._pipe.send_bytes(event.model_dump_json().encode())
        except OSError:
            log.debug("nobody listens to events any more")


def _listen(pipe: Connection, wake: Callable[[], None], stop: Callable[[], None]) -> None:
    try:
        while (word := pipe.recv_bytes()) != STOP:
            if word == WAKE:
                wake()
    except (EOFError, OSError):
        log.info("the server is gone; the learner ends")
    stop()
