"""The conformance suite of backends. Run it against any backend you write.

Each check works below a random prefix of its own and leaves nothing behind.
"""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

from prompt_store.backends.base import Backend
from prompt_store.errors import AlreadyExists, InvalidKey, NotFound

Check = Callable[[Backend, str], None]

RACING_THREADS = 8
RACES = 20
BAD_KEYS = ("", "/", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b",
            "a\0b", "a b", "é", "a\n", "x" * 1000)  # fmt: skip


def check_backend(backend: Backend) -> None:
    """Run every check of `BACKEND_CHECKS`. Raises AssertionError naming what does not hold."""
    for check in BACKEND_CHECKS:
        run_check(check, backend)


def run_check(check: Check, backend: Backend) -> None:
    """Run one check in a fresh folder of `backend` and clean up after it."""
    folder = f"checks/{secrets.token_hex(8)}/"
    try:
        check(backend, folder)
    finally:
        for key in list(backend.list_after(folder)):
            backend.delete(key)


def race(backend: Backend, key: str, threads: int) -> list[bytes]:
    """Create one key from several threads at once; return the contents whose create succeeded."""
    start = Barrier(threads)

    def attempt(mine: bytes) -> bytes | None:
        start.wait()
        try:
            backend.create(key, mine)
        except AlreadyExists:
            return None
        return mine

    with ThreadPoolExecutor(threads) as pool:
        tried = pool.map(attempt, [b"%d" % thread * 1000 for thread in range(threads)])
        return [mine for mine in tried if mine is not None]


def check_reads_what_was_created(backend: Backend, folder: str) -> None:
    """Text, all byte values, nothing at all and a megabyte come back as they were."""
    for number, data in enumerate((b"text", bytes(range(256)), b"", b"\0" * 2**20)):
        backend.create(f"{folder}{number}", data)
        _expect(backend.read(f"{folder}{number}") == data, f"content {number} is read back")
        _expect(backend.exists(f"{folder}{number}"), "a created key exists")


def check_absent_keys(backend: Backend, folder: str) -> None:
    """An absent key is not found, does not exist and is in no listing."""
    with _expect_raises(NotFound, "reading an absent key"):
        backend.read(folder + "absent")
    _expect(not backend.exists(folder + "absent"), "an absent key does not exist")
    backend.create(folder + "deep/key", b"")
    with _expect_raises(NotFound, "reading a folder"):
        backend.read(folder + "deep")
    _expect(not backend.exists(folder + "deep"), "a folder does not exist as a key")
    _expect(list(backend.list_after(folder + "none/")) == [], "an absent folder lists as empty")


def check_create_is_exclusive(backend: Backend, folder: str) -> None:
    """The second create of a key is refused and changes nothing, until the key is deleted."""
    backend.create(folder + "key", b"first")
    for data in (b"second", b"first", b""):
        with _expect_raises(AlreadyExists, "creating a key twice"):
            backend.create(folder + "key", data)
    _expect(backend.read(folder + "key") == b"first", "the first content stays")
    backend.delete(folder + "key")
    backend.create(folder + "key", b"third")
    _expect(backend.read(folder + "key") == b"third", "a deleted key can be created again")


def check_one_winner_among_threads(backend: Backend, folder: str) -> None:
    """Of threads that create one key at once exactly one wins, and its content stays."""
    for number in range(RACES):
        key = f"{folder}race/{number}"
        winners = race(backend, key, RACING_THREADS)
        _expect(len(winners) == 1, f"one creator wins, not {len(winners)}")
        _expect(backend.read(key) == winners[0], "the winner's content stays")


def check_listing(backend: Backend, folder: str) -> None:
    """Listings are sorted, recursive, start after a key and stay in their folder."""
    names = ["a-b", "a.b", "a/x", "a/y/z", "a0", "b/1", "b/10", "b/2", "c", "Z"]
    for name in reversed(names):
        backend.create(folder + name, b"")
    expected = sorted(folder + name for name in names)
    _expect(list(backend.list_after(folder)) == expected, "a listing is sorted and complete")
    for index, key in enumerate(expected):
        rest = list(backend.list_after(folder, key))
        _expect(rest == expected[index + 1 :], f"a listing after {key!r} starts behind it")
    inside = [folder + "b/1", folder + "b/10", folder + "b/2"]
    _expect(list(backend.list_after(folder + "b/")) == inside, "a folder lists only itself")
    after_absent = list(backend.list_after(folder + "b/", folder + "b/11"))
    _expect(after_absent == inside[2:], "`after` need not exist")
    below_root = [key for key in backend.list_after("") if key.startswith(folder)]
    _expect(below_root == expected, "the empty prefix lists everything")


def check_delete_is_idempotent(backend: Backend, folder: str) -> None:
    """Deleting removes one key only; deleting again, or what never was, is fine."""
    backend.create(folder + "key", b"data")
    backend.create(folder + "key2", b"data")
    for _ in range(2):
        backend.delete(folder + "key")
    backend.delete(folder + "never/was")
    _expect(not backend.exists(folder + "key"), "a deleted key does not exist")
    with _expect_raises(NotFound, "reading a deleted key"):
        backend.read(folder + "key")
    _expect(list(backend.list_after(folder)) == [folder + "key2"], "its neighbour stays")


def check_keys_are_validated(backend: Backend, folder: str) -> None:
    """Keys that could leave the store or mean two things are refused by every operation."""
    operations: tuple[Callable[[str], object], ...] = (
        lambda key: backend.create(key, b""),
        backend.read,
        backend.exists,
        backend.delete,
        lambda key: list(backend.list_after(key + "/")),
    )
    for key in BAD_KEYS:
        for operation in operations:
            with _expect_raises(InvalidKey, f"key {key[:20]!r}"):
                operation(key)
    with _expect_raises(InvalidKey, "a prefix that names no folder"):
        list(backend.list_after(folder + "part"))


BACKEND_CHECKS: tuple[Check, ...] = (
    check_reads_what_was_created,
    check_absent_keys,
    check_create_is_exclusive,
    check_one_winner_among_threads,
    check_listing,
    check_delete_is_idempotent,
    check_keys_are_validated,
)


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"The backend does not conform: expected that {what}")


@contextmanager
def _expect_raises(error: type[Exception], what: str) -> Iterator[None]:
    try:
        yield
    except error:
        return
    raise AssertionError(f"The backend does not conform: {what} must raise {error.__name__}")
