"""A store in this process's memory, for tests and trials."""

from bisect import bisect_right
from collections.abc import Iterator
from threading import Lock

from prompt_store.backends.base import check_key, check_prefix
from prompt_store.errors import AlreadyExists, NotFound


class MemoryBackend:
    """A dictionary behind a lock. Nothing survives the process."""

    _named: "dict[str, MemoryBackend]" = {}  # noqa: RUF012  (the registry is shared on purpose)
    _named_lock = Lock()

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._lock = Lock()

    @classmethod
    def named(cls, name: str) -> "MemoryBackend":
        """Return the one backend of this process called `name`, made on first use."""
        with cls._named_lock:
            return cls._named.setdefault(check_key(name), cls())

    def __repr__(self) -> str:
        return "MemoryBackend()"

    def create(self, key: str, data: bytes) -> None:
        """See `Backend.create`; durable means until the process ends."""
        with self._lock:
            if check_key(key) in self._content:
                raise AlreadyExists(f"{key!r} is already there")
            self._content[key] = bytes(data)

    def read(self, key: str) -> bytes:
        """See `Backend.read`."""
        try:
            return self._content[check_key(key)]
        except KeyError:
            raise NotFound(f"There is no {key!r}") from None

    def exists(self, key: str) -> bool:
        """See `Backend.exists`."""
        return check_key(key) in self._content

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        """See `Backend.list_after`; the listing is the state at the call."""
        check_prefix(prefix)
        with self._lock:
            keys = sorted(key for key in self._content if key.startswith(prefix))
        return iter(keys[bisect_right(keys, after) :])

    def delete(self, key: str) -> None:
        """See `Backend.delete`."""
        with self._lock:
            self._content.pop(check_key(key), None)
