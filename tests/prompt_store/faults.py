"""Backends that count, and backends whose process dies."""

from collections import Counter
from collections.abc import Iterator

from prompt_store import AlreadyExists, Backend


class Died(BaseException):
    """The process is gone: nothing catches it, nothing cleans up after it."""


class CountingBackend:
    """Counts the primitive calls that reach the inner backend, by name."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.calls: Counter[str] = Counter()

    def before(self, call: str) -> None:
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

    def before(self, call: str) -> None:
        if self.calls.total() >= self.dies_at:
            raise Died
        super().before(call)


class DeafBackend(CountingBackend):
    """Loses the reply of every create and repeats it, as a client of a bucket may."""

    def after(self, call: str) -> None:
        raise AlreadyExists("the repeated create found the first one's key")


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
