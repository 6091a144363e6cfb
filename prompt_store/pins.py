"""Pinned versions: kept however many newer ones there are.

pins/<version>.json    from `pin` until `unpin`
"""

from contextlib import suppress
from datetime import UTC, datetime

from prompt_store.actor import Actor
from prompt_store.backends.base import Backend
from prompt_store.errors import AlreadyExists
from prompt_store.fields import Moment, Number
from prompt_store.records import Record, encode

PINS = "pins/"
_SUFFIX = ".json"


class Pin(Record):
    """One pinned version."""

    version: Number
    pinned_at: Moment
    actor: Actor | None = None


class Pins:
    """The folder `pins/`. Safe for threads and processes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def pin(self, version: int, actor: Actor | None = None) -> None:
        """Durable when it returns. Pinning again changes nothing."""
        with suppress(AlreadyExists):
            record = Pin(version=version, pinned_at=datetime.now(UTC), actor=actor)
            self._backend.create(pin_key(version), encode(record))

    def unpin(self, version: int) -> None:
        """Durable when it returns. Unpinning again changes nothing."""
        self._backend.delete(pin_key(version))

    def all(self) -> frozenset[int]:
        """Return the pinned versions; one listing."""
        names = (
            key.removeprefix(PINS).removesuffix(_SUFFIX) for key in self._backend.list_after(PINS)
        )
        return frozenset(int(name) for name in names if name.isdigit())


def pin_key(version: int) -> str:
    """Where a pin lies."""
    return f"{PINS}{version:020d}{_SUFFIX}"
