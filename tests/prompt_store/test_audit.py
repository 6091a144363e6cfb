"""Damage of each kind is found and named; a sound store is called sound, also while it is used."""

import re
from pathlib import Path

import pytest

from prompt_store import (
    Backend,
    InvalidTensor,
    Kind,
    Manifest,
    MemoryBackend,
    Store,
    Unavailable,
    audit_store,
    digest_of,
)
from prompt_store.backends.local import LocalBackend
from prompt_store.batch import Batch, Settled
from prompt_store.blobs import blob_key
from prompt_store.erasures import Erasure
from prompt_store.intake import pending_key, settled_key
from prompt_store.log import CHECKPOINT_EVERY, log_key
from prompt_store.tensors import decode_tensors
from prompt_store.timeline import Timeline
from tests.prompt_store.drafts import append, batch
from tests.prompt_store.faults import SilentBackend
from tests.prompt_store.keeping import (
    CALLS,
    FIRST,
    LATE,
    QUEUED,
    SCHEDULES,
    Meanwhile,
    aged,
    content_of,
    live,
    references,
    replace,
    retention,
    rewrite,
    stocked,
)

KEPT_IMAGE, QUEUED_IMAGE = digest_of(b"an image that is kept"), digest_of(b"an image that waits")
HEAD = digest_of(b"head")


@pytest.fixture
def store() -> Store:
    return stocked()


def faults(store: Store | Backend) -> list[tuple[str, str]]:
    backend = store.backend if isinstance(store, Store) else store
    found = audit_store(backend, references).faults
    assert all(fault.remedy for fault in found)
    return [(fault.where, fault.what) for fault in found]


def only_fault(store: Store) -> tuple[str, str]:
    ((where, what),) = faults(store)
    return where, what


def test_a_sound_store_is_sound_and_stays_as_it_is(store: Store) -> None:
    before = content_of(store.backend)
    found = audit_store(store.backend, references)
    assert (found.faults, found.orphans) == ((), ())
    assert (found.manifests, found.batches, found.blobs) == (4, 2, 4)
    assert content_of(store.backend) == before


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_written_meanwhile_is_no_fault(schedule: str) -> None:
    for writes in SCHEDULES[schedule]:
        place = Meanwhile(stocked().backend, writes)
        assert faults(place) == []
        assert 10 < place.calls < CALLS


def test_blobs_that_nobody_names_are_no_fault(store: Store) -> None:
    orphan = store.blobs.put(b"of a write that broke off")
    found = audit_store(store.backend, references)
    assert (found.faults, found.orphans) == ((), (orphan,))


@pytest.mark.parametrize(
    ("digest", "role"),
    [(HEAD, "'head/mail'"), (KEPT_IMAGE, "'image'"), (QUEUED_IMAGE, "'image'")],
)
def test_blobs_missing_and_damaged(store: Store, digest: str, role: str) -> None:
    key = blob_key(digest)
    data = store.backend.read(key)
    replace(store.backend, key, bytes([data[0] ^ 1]) + data[1:])
    where, what = only_fault(store)
    assert where == key
    assert "holds other bytes than its name says" in what
    store.backend.delete(key)
    where, what = only_fault(store)
    assert where == key
    assert "is missing" in what
    assert role in what


def test_a_blob_that_is_what_was_put_but_no_tensors(store: Store) -> None:
    digest = store.blobs.put(b"\xff" * 8 + b"{}")
    live(store, blobs={"head/mail": digest})

    def tensors(role: str, data: bytes) -> tuple[()]:
        if data == b"\xff" * 8 + b"{}":
            decode_tensors(data)
        return ()

    (fault,) = audit_store(store.backend, tensors).faults
    assert fault.where == blob_key(digest)
    assert "malformed" in fault.what
    with pytest.raises(InvalidTensor):
        store.blobs.get_tensors(digest)


@pytest.mark.parametrize(
    "key", [log_key(2), pending_key(QUEUED), settled_key(FIRST), "format.json", "erasures"]
)
def test_records_truncated_and_altered(store: Store, key: str) -> None:
    if key == "erasures":
        (key,) = store.backend.list_after("erasures/")
    data = store.backend.read(key)
    for damaged in (data[:-20], data.replace(b"20", b"21", 1), b""):
        replace(store.backend, key, damaged)
        assert (key, "was truncated or altered after it was written") in faults(store)
    replace(store.backend, key, re.sub(rb'"format":\d', b'"format":9', data))
    assert (key, "was written by another version of this program") in faults(store)


def test_orphans_are_not_told_where_a_record_that_may_name_them_is_damaged(store: Store) -> None:
    replace(store.backend, log_key(2), b"")
    assert audit_store(store.backend, references).orphans is None


@pytest.mark.parametrize(
    ("gone", "where", "what"),
    [
        ([1], 1, "is missing"),
        ([3], 3, "is missing"),
        ([2, 3], 2, "is missing, and so are all up to 3"),
    ],
)
def test_a_gap_in_the_log(store: Store, gone: list[int], where: int, what: str) -> None:
    for number in gone:
        store.backend.delete(log_key(number))
    assert (log_key(where), what) in faults(store)


def test_the_tail_of_the_log_is_gone(store: Store) -> None:
    for number in (3, 4):
        store.backend.delete(log_key(number))
    found = dict(faults(store))
    assert found[settled_key(FIRST)] == "speaks of version 3, but the log ends at 2"


def test_a_manifest_renamed(store: Store) -> None:
    store.backend.create(log_key(5), store.backend.read(log_key(3)))
    assert only_fault(store) == (log_key(5), "holds manifest 3, so it was renamed or copied")


def test_a_key_that_is_no_manifest(store: Store) -> None:
    store.backend.create("log/backup.json", b"{}")
    assert only_fault(store) == ("log/backup.json", "is no manifest")


def test_two_histories_in_one_log() -> None:
    """Two copies of a store went on apart, then somebody copied one into the other."""
    one, other = stocked(), stocked(MemoryBackend())
    live(one, Kind.CANDIDATE)
    live(other)
    append(one, parent=4)
    live(other)
    replace(one.backend, log_key(6), other.backend.read(log_key(6)))
    where, what = only_fault(one)
    assert where == log_key(6)
    assert "two histories are mixed" in what


def test_an_epoch_that_no_fence_began(store: Store) -> None:
    rewrite(store.backend, log_key(3), Manifest, epoch=2)
    where, what = faults(store)[0]
    assert where == log_key(3)
    assert "has epoch 1, not 2" in what


def test_a_batch_learnt_twice(store: Store) -> None:
    rewrite(store.backend, log_key(4), Manifest, batches=(FIRST,))
    assert only_fault(store) == (log_key(4), f"learns batch {FIRST} again, after version 2")


def test_a_batch_learnt_of_which_the_intake_has_no_record(store: Store) -> None:
    store.backend.delete(settled_key(FIRST))
    what = f"names batch {FIRST}, which the intake does not know"
    assert only_fault(store) == (log_key(4), what)


def test_a_batch_settled_that_was_never_learnt(store: Store) -> None:
    store.intake.accept(batch(LATE))
    settled = store.backend.read(settled_key(FIRST))
    store.backend.create(settled_key(LATE), settled)
    assert (settled_key(LATE), f"holds what belongs at {settled_key(FIRST)}") in faults(store)
    rewrite(store.backend, settled_key(LATE), Settled, batch=LATE)
    what = "calls a batch published that no version has learnt"
    assert only_fault(store) == (settled_key(LATE), what)


def test_a_pending_batch_under_another_name(store: Store) -> None:
    rewrite(store.backend, pending_key(QUEUED), Batch, id=LATE)
    assert only_fault(store)[1] == f"holds what belongs at {pending_key(LATE)}"


def test_a_request_to_forget_from_a_later_log(store: Store) -> None:
    (key,) = store.backend.list_after("erasures/")
    rewrite(store.backend, key, Erasure, after=9)
    assert only_fault(store) == (key, "speaks of version 9, but the log ends at 4")


def test_what_retention_removed_is_no_fault() -> None:
    store = aged()
    next(retention(store))
    assert faults(store) == []
    store.backend.delete(log_key(7))
    store.backend.delete(log_key(60))
    assert faults(store) == [
        (log_key(7), "is missing, though retention has kept it"),
        (log_key(60), "is missing"),
    ]


@pytest.mark.parametrize("call", [*range(12), 40, 80, 150])
def test_a_floor_raised_meanwhile_is_no_fault(call: int) -> None:
    store = aged()
    assert faults(Meanwhile(store.backend, {call: 1}, retention(store))) == []


def test_checkpoints_that_do_not_agree_with_the_log() -> None:
    store = aged()
    newest = f"checkpoints/{3 * CHECKPOINT_EVERY:020d}.json"
    older = f"checkpoints/{2 * CHECKPOINT_EVERY:020d}.json"
    rewrite(store.backend, newest, Timeline, live=3)
    replace(store.backend, older, b"")
    assert dict(faults(store)) == {
        newest: "says something else than the log up to there",
        older: "was truncated or altered after it was written",
    }
    store.backend.delete(log_key(3 * CHECKPOINT_EVERY))
    assert dict(faults(store))[newest].startswith(f"speaks of version {3 * CHECKPOINT_EVERY}")


@pytest.mark.parametrize("call", ["read", "list", "exists"])
def test_a_bucket_that_does_not_answer_is_no_fault(store: Store, call: str) -> None:
    store.backend.delete(blob_key(HEAD))
    silent = SilentBackend(store.backend)
    silent.silent = frozenset({call})
    with pytest.raises(Unavailable):
        audit_store(silent, references)


def test_a_folder_that_holds_no_store(tmp_path: Path) -> None:
    found = audit_store(LocalBackend(tmp_path), references).faults
    assert [fault.where for fault in found] == ["format.json"]
