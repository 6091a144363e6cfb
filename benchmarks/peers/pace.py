"""Single requests at fixed times, whatever the answers do. Only the standard library."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType


class Pace:
    """A thread that asks `rate` times a second while the block runs, or `limit` times.

    A request's time counts from when it was *due*, so a request that had to wait for the one before
    it, which waited for a lock, counts its whole waiting time. Requests due before the block's end
    are all asked. An exception of `ask` is raised again at the block's end.
    """

    def __init__(
        self,
        ask: Callable[[str], object],
        texts: Sequence[str],
        rate: float,
        *,
        limit: int | None = None,
    ) -> None:
        self._ask = ask
        self._texts = texts
        self._interval = 1.0 / rate
        self._limit = limit
        self._ended = threading.Event()
        self._end = math.inf
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seconds: list[float] = []
        """From due to answered, one for each request."""

    def __enter__(self) -> Pace:
        if self._texts:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end = time.monotonic()
        self._ended.set()
        self.wait()
        if self._failure is not None and error is None:
            raise self._failure

    def wait(self) -> None:
        """Until `limit` requests are answered, or the block has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while self._limit is None or len(self.seconds) < self._limit:
                self._ended.wait(max(0.0, due - time.monotonic()))
                if due > self._end:
                    return
                self._ask(self._texts[len(self.seconds) % len(self._texts)])
                self.seconds.append(time.monotonic() - due)
                due += self._interval
        except BaseException as error:  # noqa: BLE001  (raised again where the block ends)
            self._failure = error


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """Median, 99th percentile (nearest rank) and worst in milliseconds; None without requests."""
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * ordered[max(math.ceil(share * len(ordered)), 1) - 1], 2)

    return {"p50": at(0.5), "p99": at(0.99), "worst": at(1.0), "requests": len(ordered)}
