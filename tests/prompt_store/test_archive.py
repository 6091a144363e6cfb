"""A store through an archive and back; archives that are damaged, or mean harm."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_store import (
    AlreadyExists,
    Backend,
    Corrupt,
    InvalidArchive,
    LocalBackend,
    MemoryBackend,
    NotEmpty,
    NotFound,
    Snapshot,
    Store,
    audit_store,
    digest_of,
    read_archive,
    restore,
    write_archive,
)
from prompt_store import archive as archive_module
from prompt_store.archive import DIGEST
from prompt_store.blobs import blob_key
from prompt_store.log import log_key
from tests.prompt_store.keeping import (
    CALLS,
    FIRST,
    QUEUED,
    SCHEDULES,
    Meanwhile,
    aged,
    content_of,
    live,
    references,
    replace,
    retention,
    stocked,
)
from tests.prompt_store.soundness import history

BESIDE = ("declarations/",)
DECLARED = "declarations/00000000000000000001.json"


def archived(backend: Backend) -> bytes:
    file = io.BytesIO()
    snapshot = Snapshot(Store.existing(backend), references, BESIDE)
    write_archive(snapshot.entries(), file)
    return file.getvalue()


def restored(data: bytes, backend: Backend | None = None) -> Backend:
    backend = backend or MemoryBackend()
    restore(read_archive(io.BytesIO(data)), backend, BESIDE)
    return backend


@pytest.fixture
def store() -> Store:
    store = stocked()
    store.backend.create(DECLARED, b"what another room keeps")
    return store


def test_a_store_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    expected = content_of(store.backend)
    store.blobs.put(b"of a write that broke off")
    made = restored(archived(store.backend), LocalBackend(tmp_path / "store"))
    found = content_of(made)
    assert found.pop(f"checkpoints/{4:020d}.json")
    assert found == expected
    assert audit_store(made, references).faults == ()
    assert Store.open(tmp_path / "store").timeline() == store.timeline()


def test_an_empty_store_comes_back() -> None:
    assert (
        Store.existing(restored(archived(Store.on(MemoryBackend()).backend))).timeline().head == 0
    )


def test_a_store_goes_on_where_it_was_imported(store: Store) -> None:
    made = Store.on(restored(archived(store.backend)))
    live(made, batches=(QUEUED,))
    assert audit_store(made.backend, references).faults == ()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_snapshot_is_consistent_while_others_write(schedule: str) -> None:
    for writes in SCHEDULES[schedule]:
        place = Meanwhile(stocked().backend, writes)
        made = restored(archived(place))
        assert audit_store(made, references).faults == ()
        copy = Store.existing(made)
        assert all(copy.intake.knows(batch) for batch in (FIRST, QUEUED))
        assert history(made) == history(place.inner)[: copy.timeline().head]
        forgotten = [entry for entry in history(made) if entry.kind == "forget"]
        assert forgotten or copy.erasures.pending()
        assert 10 < place.calls < CALLS


@pytest.mark.parametrize("call", [*range(4, 14), 60, 130, 200, 260])
def test_a_snapshot_is_consistent_while_retention_deletes(call: int) -> None:
    store = aged()
    made = restored(archived(Meanwhile(store.backend, {call: 1}, retention(store))))
    assert audit_store(made, references).faults == ()
    assert Store.existing(made).timeline() == store.timeline()


def test_a_damaged_store_is_not_exported(store: Store) -> None:
    head = blob_key(digest_of(b"head"))
    replace(store.backend, head, b"other")
    with pytest.raises(Corrupt):
        archived(store.backend)
    store.backend.delete(head)
    with pytest.raises(NotFound):
        archived(store.backend)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_log_with_a_gap_is_not_exported(store: Store, number: int) -> None:
    other = Store.existing(store.backend)
    other.timeline()
    store.backend.delete(log_key(number))
    for reader in (Store.existing(store.backend), other):
        with pytest.raises(NotFound):
            write_archive(Snapshot(reader, references).entries(), io.BytesIO())


@pytest.mark.parametrize("key", ["format.json", log_key(1), DECLARED, blob_key("0" * 64)])
def test_a_place_that_holds_something_is_refused_and_left_alone(store: Store, key: str) -> None:
    backend = MemoryBackend()
    backend.create(key, b"mine")
    with pytest.raises(NotEmpty, match=key):
        restored(archived(store.backend), backend)
    assert content_of(backend) == {key: b"mine"}


def test_every_archive_that_is_cut_off_leaves_nothing(store: Store) -> None:
    data = archived(store.backend)
    end = data.rindex(b"format.json")
    for length in range(0, end, 512):
        backend = MemoryBackend()
        with pytest.raises(InvalidArchive):
            restored(data[:length], backend)
        assert content_of(backend) == {}


def test_an_import_that_is_killed_leaves_no_store(store: Store) -> None:
    """At every step: what is there is refused by whoever opens it."""
    entries = list(read_archive(io.BytesIO(archived(store.backend))))
    for length in range(1, len(entries)):
        backend = MemoryBackend()
        for key, data in entries[:length]:
            backend.create(key, data)
        if all(key.startswith(BESIDE) for key, _ in entries[:length]):
            continue  # nothing of the store itself yet
        with pytest.raises(Corrupt, match="broken off"):
            Store.on(backend)
        assert not backend.exists("format.json")


def test_an_interrupted_import_clears_up(store: Store) -> None:
    def interrupted() -> Iterator[tuple[str, bytes]]:
        yield from list(read_archive(io.BytesIO(archived(store.backend))))[:-1]
        raise KeyboardInterrupt

    backend = MemoryBackend()
    with pytest.raises(KeyboardInterrupt):
        restore(interrupted(), backend, BESIDE)
    assert content_of(backend) == {}


def test_a_flipped_byte_in_any_content_is_found(store: Store) -> None:
    data = archived(store.backend)
    for content in (b"an image that is kept", b"what another room keeps", b'"kind":"fence"'):
        assert content in data
        damaged = data.replace(content, content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(InvalidArchive, match="not what was written"):
            restored(damaged)


def member(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member with the right digest: whoever means harm can count, too."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = {DIGEST: f"sha256 {digest_of(data)}"}
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


BLOB = blob_key(digest_of(b"x"))
HARMFUL = {
    "absolute": member("/etc/passwd"),
    "up": member("../../escaped"),
    "up inside": member("blobs/../../escaped"),
    "hidden": member("blobs/.hidden"),
    "no folder of a store": member("elsewhere/x"),
    "root": member("x"),
    "symbolic link": member(BLOB, b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link inside": member(BLOB, b"", type=tarfile.SYMTYPE, linkname="format.json"),
    "hard link": member(BLOB, b"", type=tarfile.LNKTYPE, linkname="../../escaped"),
    "device": member(BLOB, b"", type=tarfile.CHRTYPE),
    "pipe": member(BLOB, b"", type=tarfile.FIFOTYPE),
    "folder": member("blobs/x", b"", type=tarfile.DIRTYPE),
    "another blob's name": member(blob_key("0" * 64)),
    "without a digest": member(BLOB, pax_headers={}),
    "sparse": member(BLOB, pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                        "GNU.sparse.realsize": "99999999999"}),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_a_malicious_archive_is_refused(tmp_path: Path, name: str) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for info, data in (HARMFUL[name], member("format.json", b"{}")):
            archive.addfile(info, io.BytesIO(data))
    root = tmp_path / "deep" / "store"
    with pytest.raises(InvalidArchive):
        restored(file.getvalue(), LocalBackend(root))
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_a_member_that_is_too_large_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "MAX_BYTES", 100)
    with pytest.raises(InvalidArchive, match="over 100 bytes"):
        restored(archived(store.backend))


def test_members_twice_and_after_the_end_are_refused(store: Store) -> None:
    entries = list(read_archive(io.BytesIO(archived(store.backend))))
    for twisted, error in (
        ([entries[0], *entries], AlreadyExists),
        ([*entries, entries[0]], InvalidArchive),
        ([*entries, entries[-1]], InvalidArchive),
    ):
        backend = MemoryBackend()
        with pytest.raises(error):
            restore(iter(twisted), backend, BESIDE)
        assert content_of(backend) == {}


@pytest.mark.parametrize("data", [b"", b"text" * 1000, b"\x1f\x8b" + b"\0" * 1000])
def test_a_file_that_is_no_archive(data: bytes) -> None:
    with pytest.raises(InvalidArchive):
        restored(data)
