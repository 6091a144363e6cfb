"""What the store asks of the place it lives in: create if absent, read, list, delete."""

import re
from collections.abc import Iterator
from typing import Protocol

from prompt_store.errors import InvalidKey, NotFound

MAX_KEY_LENGTH = 512
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")


class Backend(Protocol):
    """A flat, sorted map from keys to bytes in which nothing is ever overwritten.

    A key is never also the folder of another key. Safe for threads and for processes (the memory
    backend: threads only). Reads see every create that has returned. `check_backend` in
    `prompt_store.checks` is the definition in code.
    """

    def create(self, key: str, data: bytes) -> None:
        """Store `data` under a new key, whole or not at all; durable when it returns.

        Raises:
            AlreadyExists: the key is taken; its content is untouched and durable.
        """
        ...

    def read(self, key: str) -> bytes:
        """Return the content. Raises NotFound."""
        ...

    def exists(self, key: str) -> bool:
        """Say whether the key is there, without reading it."""
        ...

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the keys below the folder `prefix` ("" or ending in "/") above `after`, sorted.

        What is listed is durable, as what `create` has returned for.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the key; an absent one is fine."""
        ...


def contents(backend: Backend, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield keys and contents below a folder; what is gone since the listing is passed over."""
    for key in backend.list_after(prefix):
        try:
            data = backend.read(key)
        except NotFound:
            continue
        yield key, data


def check_key(key: str) -> str:
    """Return `key`: segments of letters, digits, `_`, `-` and inner dots, joined by `/`.

    Raises:
        InvalidKey: anything else: absolute paths, `..`, hidden names, over-long keys.
    """
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise InvalidKey(
            f"Key {key[:80]!r} is not allowed: use segments of letters, digits, '_', '-' and dots "
            f"(not first), joined by '/', at most {MAX_KEY_LENGTH} characters"
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix`: "" or a key followed by "/". Raises InvalidKey."""
    if prefix and not prefix.endswith("/"):
        raise InvalidKey(f"Prefix {prefix[:80]!r} names no folder: end it with '/' or leave it ''")
    if prefix:
        check_key(prefix[:-1])
    return prefix
