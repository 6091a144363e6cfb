"""Keys in the store: created and revoked once, seen by all, never half believed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_store import (
    Actor,
    AlreadyExists,
    CorruptRecord,
    Keys,
    KeyTerms,
    MemoryBackend,
    NotFound,
    Snapshot,
    Store,
    UnsupportedFormat,
    audit_store,
    digest_of,
    new_key,
    restore,
    take_census,
)
from prompt_store.keys import keys_key
from prompt_store.records import encode
from tests.prompt_store.keeping import references, replace

ME = Actor(name="cli:me@here")


def _terms(secret: str = "secret") -> KeyTerms:
    return KeyTerms(digest=digest_of(secret.encode()), scopes=("learn",))


@pytest.fixture
def store() -> Store:
    return Store.open(f"memory://{uuid.uuid4().hex}")


def test_a_key_is_random_and_found_by_scanners() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"pk_[0-9A-Za-z]{43}", one) for one in made)


NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(st.tuples(st.sampled_from(["create", "revoke"]), NAMES), max_size=12)


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_a_name_is_given_once_and_ends_once(steps: list[tuple[str, str]]) -> None:
    backend = MemoryBackend()
    keys, seen = Keys(backend), Keys(backend)
    created: set[str] = set()
    revoked: set[str] = set()
    for what, name in steps:
        if what == "create" and name in created:
            with pytest.raises(AlreadyExists, match=name):
                keys.create(name, _terms(name), ME)
        elif what == "create":
            keys.create(name, _terms(name), ME)
            created.add(name)
        elif name not in created:
            with pytest.raises(NotFound, match=name):
                keys.revoke(name, ME)
        else:
            assert keys.revoke(name, ME) is (name not in revoked)
            revoked.add(name)
        known = seen.known()
        assert set(known) == created
        assert {name for name, one in known.items() if one.revoked_at is not None} == revoked
    assert list(Keys(backend).entries()) == list(seen.entries())
    assert [entry.number for entry in seen.entries()] == list(range(1, 1 + len(seen.entries())))


def test_of_two_who_race_for_a_name_one_gets_it(store: Store) -> None:
    def create(secret: str) -> bool:
        try:
            Keys(store.backend).create("ci", _terms(secret), ME)
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, map(str, range(8))))
    assert won.count(True) == 1
    assert store.keys.known()["ci"].terms == _terms(str(won.index(True)))


def test_the_key_itself_is_nowhere_in_the_store(store: Store) -> None:
    secret = new_key()
    store.keys.create("ci", _terms(secret), ME)
    kept = b"".join(store.backend.read(key) for key in store.backend.list_after(""))
    assert digest_of(secret.encode()).encode() in kept
    assert secret.encode() not in kept


def _gap(store: Store) -> str:
    store.backend.delete(keys_key(1))
    return "is missing"


def _cut(store: Store) -> str:
    replace(store.backend, keys_key(2), store.backend.read(keys_key(2))[:-9])
    return "no JSON"


def _twice(store: Store) -> str:
    entry = store.keys.entries()[1]
    again = entry.model_copy(update={"number": 3, "at": datetime.now(UTC)})
    store.backend.create(keys_key(3), encode(again))
    return "does not follow"


def _renamed(store: Store) -> str:
    store.backend.create(keys_key(3), store.backend.read(keys_key(2)))
    return "holds entry 2"


@pytest.mark.parametrize("damage", [_gap, _cut, _twice, _renamed])
def test_a_damaged_log_is_not_believed_and_the_check_says_so(store: Store, damage: object) -> None:
    """A revocation may be what is missing: no part of the log counts without the rest."""
    store.keys.create("ci", _terms(), ME)
    store.keys.revoke("ci", ME)
    assert callable(damage)
    said = damage(store)
    with pytest.raises(CorruptRecord, match=said):
        Keys(store.backend).entries()
    (fault,) = audit_store(store.backend, references).faults
    assert fault.where == "keys/"
    assert said in fault.what


def test_an_entry_of_a_newer_program_is_not_guessed_at(store: Store) -> None:
    entry = store.keys.create("ci", _terms(), ME)
    newer = entry.model_copy(update={"number": 2, "what": "rotate"})
    store.backend.create(keys_key(2), encode(newer))
    with pytest.raises(UnsupportedFormat):
        Keys(store.backend).entries()


class _Counted(MemoryBackend):
    """Notes what is read and listed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def read(self, key: str) -> bytes:
        self.calls.append(key)
        return super().read(key)

    def list_after(self, prefix: str, after: str = "") -> Iterator[str]:
        self.calls.append(prefix)
        return super().list_after(prefix, after)


def test_looking_again_is_one_read_however_many_keys_there_are() -> None:
    backend = _Counted()
    writer, reader = Keys(backend), Keys(backend)
    for number in range(5):
        writer.create(f"key-{number}", _terms(str(number)), ME)
    assert len(reader.known()) == 5
    backend.calls.clear()
    assert len(reader.known()) == 5
    assert backend.calls == [keys_key(6)]
    writer.revoke("key-3", ME)
    assert reader.known()["key-3"].revoked_at is not None


def test_a_copy_has_the_keys_and_what_was_revoked(store: Store) -> None:
    for name in "ab":
        store.keys.create(name, _terms(name), ME)
    store.keys.revoke("a", ME)
    copy = MemoryBackend()
    restore(Snapshot(store, references).entries(), copy)
    assert Store.existing(copy).keys.known() == store.keys.known()
    assert audit_store(copy, references).faults == ()
    census = take_census(store, references)
    assert (census.keys, census.keys_revoked) == (2, 1)
