import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_store import (
    AlreadyExists,
    Backend,
    InvalidKey,
    InvalidUrl,
    LocalBackend,
    MemoryBackend,
    NotFound,
    UnsafeBackend,
    check_backend,
    open_backend,
)
from prompt_store.backends import local
from prompt_store.backends.local import STALE_AFTER, TEMPORARY
from prompt_store.checks import BACKEND_CHECKS, Check, run_check
from tests.prompt_store.faults import IgnoringBackend, OverwritingBackend
from tests.prompt_store.forks import DIED, die_at_line, fork, wait


@pytest.fixture(params=["local", "memory"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return LocalBackend(tmp_path / "store") if request.param == "local" else MemoryBackend()


@pytest.mark.parametrize("check", BACKEND_CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Check, backend: Backend) -> None:
    run_check(check, backend)
    assert list(backend.list_after("")) == []


@pytest.mark.parametrize("broken", [OverwritingBackend, IgnoringBackend])
def test_the_suite_finds_a_backend_that_is_not_exclusive(
    broken: Callable[[Backend], Backend],
) -> None:
    with pytest.raises(AssertionError, match="does not conform"):
        check_backend(broken(MemoryBackend()))


def test_urls_choose_the_backend(tmp_path: Path) -> None:
    spaced = tmp_path / "a folder"
    for url in (spaced, str(spaced), f"file://{tmp_path}/a%20folder"):
        opened = open_backend(url)
        assert isinstance(opened, LocalBackend)
        assert opened.root == spaced
    assert open_backend("memory://one") is open_backend("memory://one")
    assert open_backend("memory://one") is not open_backend("memory://two")


@pytest.mark.parametrize("url", ["ftp://host/x", "file://elsewhere/x", "memory://", "file://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises((InvalidUrl, InvalidKey), match=r"memory://name|not allowed"):
        open_backend(url)


def test_a_local_create_flushes_the_file_and_then_its_folder(tmp_path: Path) -> None:
    flushed: list[str] = []

    def record(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        os.fsync(descriptor)

    root = tmp_path / "new" / "store"
    backend = LocalBackend(root, fsync=record)
    assert flushed == [str(tmp_path / "new"), str(tmp_path), str(root)]  # entries that lead to it
    flushed.clear()
    backend.create("a/b/key", b"data")
    assert flushed[:2] == [str(root), str(root / "a")]
    file, folder = flushed[2:]
    assert Path(file).parent == root / TEMPORARY
    assert folder == str(root / "a/b")
    flushed.clear()
    backend.create("a/b/other", b"data")
    assert len(flushed) == 2  # folders are known by now
    flushed.clear()
    with pytest.raises(AlreadyExists):
        backend.create("a/b/key", b"data")
    assert flushed == [str(root / "a/b")]  # our caller may rely on what another has not flushed
    flushed.clear()
    backend.delete("a/b/key")
    assert flushed == [str(root / "a/b")]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_failed_flush_is_an_error_and_leaves_no_half_file(tmp_path: Path, failing: int) -> None:
    LocalBackend(tmp_path).create("a/first", b"")
    calls: list[int] = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if armed and len(calls) == failing + 1:
            raise OSError(errno.EIO, "I/O error")

    armed = False
    backend = LocalBackend(tmp_path, fsync=fsync)
    backend.create("a/second", b"")
    armed = True
    calls.clear()
    with pytest.raises(OSError, match="I/O error"):
        backend.create("a/key", b"data")
    assert list((tmp_path / TEMPORARY).iterdir()) == []
    assert backend.exists("a/key") == (failing == 1)  # linked, but not promised


def test_a_local_create_is_whole_or_nothing_at_every_line(tmp_path: Path) -> None:
    """Kill the process before each line that `create` runs."""
    line, status = 0, DIED
    seen = set()
    while status == DIED:
        backend = LocalBackend(tmp_path / str(line))
        data = b"x" * 100_000

        def create(backend: LocalBackend = backend, data: bytes = data) -> None:
            backend.create("log/1", data)

        status = wait(fork(die_at_line(line, local.__file__, create)))
        reopened = LocalBackend(tmp_path / str(line))
        survived = reopened.exists("log/1")
        seen.add(survived)
        assert list(reopened.list_after("")) == ["log/1"] * survived
        if survived:
            assert reopened.read("log/1") == data
        else:
            reopened.create("log/1", data)
        line += 1
    assert status == 0
    assert survived
    assert seen == {True, False}
    assert line > 30


def test_old_unfinished_files_are_swept_at_open_and_young_ones_stay(tmp_path: Path) -> None:
    LocalBackend(tmp_path)
    old, young = tmp_path / TEMPORARY / "1-old", tmp_path / TEMPORARY / "1-young"
    for path in (old, young):
        path.write_bytes(b"half")
    past = young.stat().st_mtime - STALE_AFTER - 1
    os.utime(old, (past, past))
    backend = LocalBackend(tmp_path)
    assert not old.exists()
    assert young.exists()
    assert list(backend.list_after("")) == []


def test_a_folder_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(UnsafeBackend, match="hard links"):
        LocalBackend(tmp_path).create("key", b"")


def test_another_error_of_the_file_system_is_not_hidden(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    backend.create("folder/key", b"")
    with pytest.raises(FileExistsError):
        backend.create("folder/key/below", b"")
    with pytest.raises(NotFound):
        backend.read("folder/key/below")


def test_memory_keeps_a_copy() -> None:
    backend = MemoryBackend()
    data = bytearray(b"before")
    backend.create("key", data)  # type: ignore[arg-type]
    data[:] = b"after!"
    assert backend.read("key") == b"before"


def test_the_named_registry_is_one_under_threads() -> None:
    found: list[Backend] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_backend("memory://threads")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
