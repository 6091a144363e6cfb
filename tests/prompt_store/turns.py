"""Processes on one store that take turns, a primitive call each, as a test chooses."""

from collections.abc import Callable, Iterable, Iterator
from threading import Semaphore, Thread

from prompt_store import Backend


class Process:
    """Work on a store of its own, which stands still before each call until it is its turn.

    stands_before: the name of that call, and its key
    """

    def __init__(self, inner: Backend, work: Callable[[Backend], None]) -> None:
        self.inner = inner
        self.calls = 0
        self.ended = False
        self.stands_before = ("", "")
        self._error: BaseException | None = None
        self._go, self._stands = Semaphore(0), Semaphore(0)
        self._thread = Thread(target=self._run, args=(work,))
        self._thread.start()
        self._stands.acquire()

    def step(self, calls: int = 1) -> None:
        """Let it make so many calls, or as many as it has left. Raises what it raised."""
        while calls and not self.ended:
            self._go.release()
            self._stands.acquire()
            calls -= 1
        if self.ended and self._error is not None:
            raise self._error

    def finish(self) -> int:
        """Let it run to its end; return how many calls it made."""
        self.step(10**9)
        self._thread.join()
        return self.calls

    def _run(self, work: Callable[[Backend], None]) -> None:
        try:
            work(self)
        except BaseException as error:  # noqa: BLE001  (raised again where it is waited for)
            self._error = error
        self.ended = True
        self._stands.release()

    def _turn(self, call: str, key: str) -> None:
        self.stands_before = (call, key)
        self._stands.release()
        self._go.acquire()
        self.calls += 1

    def create(self, key: str, data: bytes) -> None:
        self._turn("create", key)
        self.inner.create(key, data)

    def read(self, key: str) -> bytes:
        self._turn("read", key)
        return self.inner.read(key)

    def exists(self, key: str) -> bool:
        self._turn("exists", key)
        return self.inner.exists(key)

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        self._turn("list", prefix)
        return self.inner.list_after(prefix, after)

    def delete(self, key: str) -> None:
        self._turn("delete", key)
        self.inner.delete(key)


def take_turns(processes: list[Process], order: Iterable[int]) -> None:
    """Step them in this order, then let each run to its end."""
    for place in order:
        processes[place].step()
    for process in processes:
        process.finish()
