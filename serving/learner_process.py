"""The learner as a process of its own beside a local server: started, watched, restarted, stopped.

Parent and child speak over two pipes. Down go single bytes, each meaning "look at the intake", that
are dropped where the child does not read: predictions never wait for the learner. Up come events
as JSON. The child ends when the pipe down is closed, so also when its parent is gone; one that
outlives it for a moment does no harm: a successor's fence keeps it from committing.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from backbones.engines import Precision
from learner import spans
from learner.config import LearnerConfig
from learner.events import Event
from prompt_store import RetentionConfig, Store
from serving.logs import Logging
from serving.precision import load_int8
from serving.settings import ImageOptions

log = logging.getLogger(__name__)

WAKE = b"w"
WORDS_AT_ONCE = 4096
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
PATIENCE_SECONDS = 10.0
"""How long a child may take to stop before it is killed; nothing uncommitted is lost by that."""


class LearnerProcess:
    """Keeps one learner process running. Thread-safe."""

    def __init__(
        self,
        store: str,
        backbone: str,
        config: LearnerConfig,
        observe: Callable[[Event], None],
        image_options: ImageOptions | None = None,
        precision: Precision = "fp32",
        logging: Logging = Logging(),  # noqa: B008  frozen
        retention: RetentionConfig | None = None,
    ) -> None:
        settings = config.model_dump_json()
        options = (image_options or {}, precision, logging, retention)
        self._arguments = (store, backbone, *options, settings)
        self._observe = observe
        self._context = multiprocessing.get_context("spawn")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._down: Connection | None = None
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
        """A batch was accepted. Never blocks."""
        with self._lock:
            if self._down is None:
                return
            try:
                os.write(self._down.fileno(), WAKE)
            except OSError:  # the pipe is full, or closed: the learner looks for itself
                log.debug("the learner was not woken")

    def end(self) -> None:
        """Ask the process to end. Never blocks."""
        self._stopping.set()
        self._hang_up()

    def stop(self) -> None:
        """Ask the process to end, wait, and kill it if it does not."""
        log.info("stopping the learner")
        self.end()
        try:
            self._thread.join(PATIENCE_SECONDS)
        finally:  # also where a signal ends the waiting
            self.kill()
        self._thread.join()

    def kill(self) -> None:
        """End the process now, wherever it is."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    def _hang_up(self) -> None:
        """Close the pipe down, which tells the child to end."""
        with self._lock:
            if self._down is not None:
                self._down.close()
                self._down = None

    def _supervise(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_once()
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS  # it had been well
            if not self._stopping.wait(pause):  # a signal for both may end the child first
                log.error("the learner ended with %s; restarting it", code)
                self._observe(Event(kind="failed", message=f"its process ended with {code}"))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _run_once(self) -> int | None:
        listens, down = self._context.Pipe(duplex=False)
        up, tells = self._context.Pipe(duplex=False)
        os.set_blocking(down.fileno(), False)
        process = self._context.Process(
            target=learn_until_stopped,
            args=(listens, tells, *self._arguments),
            name="perennial-learner",
        )
        with _signals_held():
            process.start()
        listens.close()
        tells.close()
        with self._lock:
            self._down, self._process = down, process
        if self._stopping.is_set():
            self._hang_up()
        self._relay(up)
        process.join()
        self._hang_up()
        return process.exitcode

    def _relay(self, pipe: Connection) -> None:
        with pipe, contextlib.suppress(EOFError, OSError):
            while True:
                self._observe(Event.model_validate_json(pipe.recv_bytes()))


def learn_until_stopped(
    listens: Connection,
    tells: Connection,
    store: str,
    backbone: str,
    image_options: ImageOptions,
    precision: Precision,
    logging: Logging,
    retention: RetentionConfig | None,
    config_json: str,
) -> None:
    """The child's main: a worker, and a thread that listens to the parent."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent's to handle: it closes the pipe
        signal.signal(number, signal.SIG_IGN)
    logging.begin()
    spans.begin("perennial-learner")
    config = LearnerConfig.model_validate_json(config_json)
    from backbones import load  # torch takes seconds to import: not in the parent's way
    from learner.worker import Worker

    judged_with = partial(load_int8, backbone, config.threads, image_options)
    worker = Worker(
        Store.open(store),
        lambda: load(backbone, threads=config.threads, **image_options),
        config,
        writer="local",
        emit=_Sender(tells),
        load_int8=judged_with if precision == "int8" else None,
        retention=retention,
    )
    threading.Thread(target=_listen, args=(listens, worker.wake, worker.stop), daemon=True).start()
    worker.run()
    spans.flush()
    gc.freeze()  # else the last collections, of a million objects, take seconds on a busy core


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """What is started meanwhile never gets SIGINT or SIGTERM, not even while it imports."""
    resource_tracker.ensure_running()  # whose own start would let them through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    """Wakes for every word; stops at the end of the pipe."""
    with contextlib.suppress(OSError):
        while os.read(pipe.fileno(), WORDS_AT_ONCE):
            wake()
    stop()
