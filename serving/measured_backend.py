"""The place of a store, with its failures counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prompt_store import AlreadyExists, Backend, InvalidKey, NotFound
from serving.metrics import Metrics

_ANSWERS = (AlreadyExists, NotFound, InvalidKey)  # a place that says so works


class MeasuredBackend:
    """Another backend. What that raises is passed on, and counted where it is a failure."""

    def __init__(self, inner: Backend, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    def __repr__(self) -> str:
        return repr(self._inner)

    def create(self, key: str, data: bytes) -> None:
        with self._counted("create"):
            self._inner.create(key, data)

    def read(self, key: str) -> bytes:
        with self._counted("read"):
            return self._inner.read(key)

    def exists(self, key: str) -> bool:
        with self._counted("exists"):
            return self._inner.exists(key)

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        with self._counted("list"):
            yield from self._inner.list_after(prefix, after)

    def delete(self, key: str) -> None:
        with self._counted("delete"):
            self._inner.delete(key)

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        try:
            yield
        except _ANSWERS:
            raise
        except Exception:
            self._metrics.add("perennial_store_errors", operation=operation)
            raise
