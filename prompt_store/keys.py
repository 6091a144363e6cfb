"""The keys that callers show: what each allows, and whether it still does.

    keys/<n>.json    20 digits, counted from 1: a key was created, or revoked

A log by the rule of the versions': creating the next number is the commit, and catching up is one
read where nothing is new. A name is given once for ever, so that it means one key in all records.

A key is 256 random bits, of which only the SHA-256 is kept. A slow hash would make guessing dearer,
but nobody guesses 256 bits; it would cost each request instead.
"""

import re
import secrets
import string
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from threading import Lock
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from prompt_store.actor import Actor
from prompt_store.backends.base import Backend
from prompt_store.errors import AlreadyExists, CorruptRecord, NotFound
from prompt_store.fields import Digest, Moment, Name, Number
from prompt_store.records import Record, decode, encode

KEYS = "keys/"
PREFIX = "pk_"
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 43  # of 62 letters each: 256 bits
_FILE = re.compile(r"(\d{20})\.json")

KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


def new_key() -> str:
    """Return a new key: `pk_` and 43 letters and digits, which scanners for secrets can find."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


class KeyTerms(Record):
    """digest: SHA-256 of the key; inputs_per_second, burst: None leaves it to the server."""

    digest: Digest
    scopes: Annotated[tuple[Name, ...], Field(min_length=1)]
    inputs_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    burst: Number | None = None
    expires_at: Moment | None = None


class KeyEntry(Record):
    """One entry. terms: of a key that is created here."""

    number: Number
    what: Literal["create", "revoke"]
    name: KeyName
    at: Moment
    actor: Actor
    terms: KeyTerms | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> "KeyEntry":
        if (self.what == "create") != (self.terms is not None):
            raise ValueError(f"{self.what} of key {self.name!r}: terms come with create alone")
        return self


@dataclass(frozen=True)
class StoredKey:
    """A key as the log has it so far."""

    name: str
    terms: KeyTerms
    created_at: datetime
    created_by: str
    revoked_at: datetime | None = None


def follow_key(known: Mapping[str, StoredKey], entry: KeyEntry) -> dict[str, StoredKey]:
    """Return the keys by name after one more entry.

    Raises CorruptRecord where it contradicts those before it.
    """
    before = known.get(entry.name)
    if entry.terms is not None and before is None:
        return {
            **known,
            entry.name: StoredKey(entry.name, entry.terms, entry.at, entry.actor.name),
        }
    if entry.terms is None and before is not None and before.revoked_at is None:
        return {**known, entry.name: replace(before, revoked_at=entry.at)}
    raise CorruptRecord(
        f"{keys_key(entry.number)} does not follow from those before it ({entry.what} "
        f"{entry.name!r}): restore {KEYS} from a backup"
    )


class Keys:
    """The folder `keys/`. Safe for threads and processes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = Lock()
        self._entries: list[KeyEntry] = []
        self._known: Mapping[str, StoredKey] = {}
        self._whole = False  # whether the folder was looked through for gaps

    def entries(self) -> tuple[KeyEntry, ...]:
        """Return all entries, in order; one read where nothing is new.

        Raises:
            CorruptRecord, UnsupportedFormat: an entry cannot be read, or is missing.
        """
        with self._lock:
            self._catch_up()
            return tuple(self._entries)

    def known(self) -> Mapping[str, StoredKey]:
        """Return all keys by name, in the order of their creation. Raises as `entries` does."""
        with self._lock:
            self._catch_up()
            return self._known

    def create(self, name: str, terms: KeyTerms, actor: Actor) -> KeyEntry:
        """Add a key; it is durable when this returns.

        Raises:
            AlreadyExists: the name was given before, if only to a key that is revoked.
        """

        def entry(number: int, known: Mapping[str, StoredKey]) -> KeyEntry:
            if name in known:
                raise AlreadyExists(f"There was a key {name!r} before: give this one another name")
            now = datetime.now(UTC)
            return KeyEntry(
                number=number, what="create", name=name, at=now, actor=actor, terms=terms
            )

        return self._append_until_it_fits(entry)

    def revoke(self, name: str, actor: Actor) -> bool:
        """End a key for ever; durable when this returns. False: somebody had done so before.

        Raises:
            NotFound: no such key was ever created here.
        """

        def entry(number: int, known: Mapping[str, StoredKey]) -> KeyEntry:
            if name not in known:
                raise NotFound(f"There is no key {name!r} in this store")
            if known[name].revoked_at is not None:
                raise AlreadyExists(name)
            now = datetime.now(UTC)
            return KeyEntry(number=number, what="revoke", name=name, at=now, actor=actor)

        with suppress(AlreadyExists):
            self._append_until_it_fits(entry)
            return True
        return False

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Yield the keys and contents of all entries, none of them without those before it."""
        for number in count(1):
            try:
                yield keys_key(number), self._backend.read(keys_key(number))
            except NotFound:
                return

    def _catch_up(self) -> None:
        top = 0 if self._whole else max(self._listed(), default=0)
        while (entry := self._read(len(self._entries) + 1)) is not None:
            self._known = follow_key(self._known, entry)
            self._entries.append(entry)
        if len(self._entries) < top:
            missing = keys_key(len(self._entries) + 1)
            raise CorruptRecord(f"{missing} is missing: restore it from a backup")
        self._whole = True

    def _append_until_it_fits(
        self, make: Callable[[int, Mapping[str, StoredKey]], KeyEntry]
    ) -> KeyEntry:
        """Append what `make` says to the newest entries; what is taken is another's progress."""
        while True:
            with self._lock:
                self._catch_up()
                number, known = len(self._entries) + 1, self._known
            entry = make(number, known)
            if self._append(entry):
                return entry

    def _append(self, entry: KeyEntry) -> bool:
        try:
            self._backend.create(keys_key(entry.number), encode(entry))
        except AlreadyExists:
            return False
        return True

    def _read(self, number: int) -> KeyEntry | None:
        key = keys_key(number)
        try:
            entry = decode(KeyEntry, self._backend.read(key), key)
        except NotFound:
            return None
        if entry.number != number:
            raise CorruptRecord(f"{key} holds entry {entry.number}: restore {KEYS} from a backup")
        return entry

    def _listed(self) -> list[int]:
        names = (key.removeprefix(KEYS) for key in self._backend.list_after(KEYS))
        return [int(file[1]) for name in names if (file := _FILE.fullmatch(name))]


def keys_key(number: int) -> str:
    """Where an entry lies."""
    return f"{KEYS}{number:020d}.json"
