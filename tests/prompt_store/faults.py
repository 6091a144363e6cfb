"""Backends that count, and backends whose process dies."""

from collections import Counter
from collections.abc import Iterator
from threading import Barrier, Lock

from prompt_store import AlreadyExists, Backend, Unavailable
from prompt_store.store import PROBING_THREADS


class Died(BaseException):
    """The process is gone: nothing catches it, nothing cleans up after it."""


class CountingBackend:
    """Counts the primitive calls that reach the inner backend, by name."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.calls: Counter[str] = Counter()
        self._lock = Lock()

    def before(self, call: str) -> None:
        with self._lock:
            self.count(call)

    def count(self, call: str) -> None:
        self.calls[call] += 1

    def after(self, call: str) -> None:
        pass

    def create(self, key: str, data: bytes) -> None:
        self.before("create")
        self.inner.create(key, data)
        self.after("create")

    def read(self, key: str) -> bytes:
        self.before("read")
        return self.inner.read(key)

    def exists(self, key: str) -> bool:
        self.before("exists")
        return self.inner.exists(key)

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        self.before("list")
        return self.inner.list_after(prefix, after)

    def delete(self, key: str) -> None:
        self.before("delete")
        self.inner.delete(key)


class DyingBackend(CountingBackend):
    """Dies before its `dies_at`-th primitive call (from 0) and at every one after that."""

    def __init__(self, inner: Backend, dies_at: int) -> None:
        super().__init__(inner)
        self.dies_at = dies_at

    def count(self, call: str) -> None:
        if self.calls.total() >= self.dies_at:
            raise Died
        super().count(call)


class DeafBackend(CountingBackend):
    """Loses the reply of every create and repeats it, as a client of a bucket may."""

    def after(self, call: str) -> None:
        raise AlreadyExists("the repeated create found the first one's key")


class SilentBackend(CountingBackend):
    """A bucket that does not answer the calls that are named in `silent`."""

    silent: frozenset[str] = frozenset()

    def count(self, call: str) -> None:
        super().count(call)
        if call in self.silent:
            raise Unavailable(f"no answer to {call}")


class OverwritingBackend(CountingBackend):
    """A place that does not know exclusive creation."""

    def create(self, key: str, data: bytes) -> None:
        self.inner.delete(key)
        self.inner.create(key, data)


class IgnoringBackend(CountingBackend):
    """A place that says nothing when a key is taken, and keeps the first content."""

    def create(self, key: str, data: bytes) -> None:
        if not self.inner.exists(key):
            self.inner.create(key, data)


class LateBackend(CountingBackend):
    """A place that looks whether a key is free and writes later: all racers see it free."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._looked = Barrier(PROBING_THREADS)

    def create(self, key: str, data: bytes) -> None:
        if self.inner.exists(key):
            raise AlreadyExists(f"{key!r} is there")
        self._looked.wait(timeout=30)
        with self._lock:
            self.inner.delete(key)
            self.inner.create(key, data)
