"""The steps that a local store takes on its file system: watched, and taken until the death."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from prompt_store import LocalBackend
from prompt_store.backends import local
from tests.prompt_store.faults import Died

Watcher = Callable[[str, Path, Path | None], None]
"""Told of `open`, `fsync`, `link`, `unlink` and `mkdir` before they happen: to what, and a link's
new name."""


STORE = Path("new/store")
"""Where on a disk the store is: in folders that it makes itself."""


class Disk:
    """Where a local backend's steps are seen. It flushes nothing: only the test looks at it."""

    def __init__(self, root: Path, step: Watcher) -> None:
        self._root = root
        self._step = step
        self._lock = Lock()  # what is told, and what happens, come in one order

    @contextmanager
    def watched(self) -> Iterator[LocalBackend]:
        """A backend whose steps are seen."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "mkdir", self._seen("mkdir", os.mkdir))
            patch.setattr(os, "unlink", self._seen("unlink", os.unlink))
            patch.setattr(os, "link", self._seen_link(os.link))
            patch.setattr(local, "open", self._seen("open", open), raising=False)
            yield LocalBackend(self._root / STORE, fsync=self._fsync)

    def _seen(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def seen(path: Any, *arguments: Any, **options: Any) -> Any:
            if not self._is_below(path):
                return do(path, *arguments, **options)
            with self._lock:
                self._step(name, Path(path), None)
                return do(path, *arguments, **options)

        return seen

    def _seen_link(self, do: Callable[..., Any]) -> Callable[..., Any]:
        def seen(source: Any, target: Any, **options: Any) -> None:
            with self._lock:
                self._step("link", Path(source), Path(target))
                do(source, target, **options)

        return seen

    def _fsync(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if self._is_below(path):
            with self._lock:
                self._step("fsync", path, None)

    def _is_below(self, path: Any) -> bool:
        return isinstance(path, str | Path) and Path(path).is_relative_to(self._root)


def reopened(root: Path) -> LocalBackend:
    """The store on a disk, by a process whose steps nobody watches."""
    return LocalBackend(root / STORE, fsync=lambda descriptor: None)


class Death:
    """Ends a process before its `at`-th step (from 0), and whatever it still tries after that."""

    def __init__(self, at: int) -> None:
        self._at = at
        self.steps = 0

    def __call__(self, *_: object) -> None:
        if self.steps >= self._at:
            raise Died
        self.steps += 1
