"""A store in one tar file: written while others use the store, read without trust.

Each member carries the sha256 of its content in its header. Nothing is extracted to a file system:
contents go through `Backend.create`, whose rule for keys refuses paths that lead elsewhere.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from prompt_store.backends.base import Backend, check_key
from prompt_store.blobs import BLOBS, digest_of
from prompt_store.errors import InvalidArchive, InvalidKey, NotEmpty
from prompt_store.log import Log
from prompt_store.records import decode
from prompt_store.snapshot import Entry
from prompt_store.store import FOLDERS, FORMAT_KEY, StoreFormat, probe_exclusive
from prompt_store.timeline import Timeline

DIGEST = "comment"  # the one header that other programs pass over in silence
MAX_BYTES = 4 * 2**30  # of one member, which is read into memory; far above any blob


def write_archive(entries: Iterable[Entry], file: IO[bytes]) -> int:
    """Write `entries` as they come; return how many there were."""
    count = 0
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for key, data in entries:
            member = tarfile.TarInfo(key)
            member.size = len(data)
            member.pax_headers = {DIGEST: _described(data)}
            archive.addfile(member, io.BytesIO(data))
            count += 1
    return count


def read_archive(file: IO[bytes]) -> Iterator[Entry]:
    """Yield the members, each checked.

    Raises:
        InvalidArchive: damage, a link, a device, a sparse file, a path that leads elsewhere, a
            member over MAX_BYTES or without a digest.
    """
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                yield member.name, _content(archive, member)
    except (tarfile.TarError, ValueError, EOFError, RecursionError) as error:
        raise InvalidArchive(f"This is no archive of a store, or a damaged one: {error}") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    tarfile.data_filter(member, ".")
    if member.type != tarfile.REGTYPE or member.issparse():
        raise InvalidArchive(f"Member {member.name!r} is no plain file")
    if member.size > MAX_BYTES:
        raise InvalidArchive(f"Member {member.name!r} is over {MAX_BYTES} bytes: {member.size}")
    stream = archive.extractfile(member)
    assert stream is not None, "a plain file has a content"
    data = stream.read()
    if _described(data) != member.pax_headers.get(DIGEST):
        raise InvalidArchive(f"Member {member.name!r} is not what was written: use another copy")
    return data


def _described(data: bytes) -> str:
    return f"sha256 {digest_of(data)}"


def restore(entries: Iterator[Entry], backend: Backend, beside: Sequence[str] = ()) -> Timeline:
    """Make a store of `entries` in an empty place; where that fails, nothing of it stays.

    `format.json` is created last, and without it `Store.open` refuses what is there: also what a
    killed process leaves behind is no store.

    beside: folders in which other rooms keep records of their own

    Raises:
        NotEmpty: the place holds something.
        InvalidArchive, AlreadyExists: the entries are not, wholly, those of a store.
        UnsafeBackend, UnsupportedFormat, CorruptRecord: see `Store.open`.
    """
    folders = (*FOLDERS, *beside)
    _refuse_content(backend, folders)
    probe_exclusive(backend)
    made: list[str] = []
    try:
        format_record = _create_all(entries, backend, folders, made)
        timeline = Log(backend).timeline()
        backend.create(FORMAT_KEY, format_record)
    except BaseException:
        for key in made:
            backend.delete(key)
        raise
    return timeline


def _refuse_content(backend: Backend, folders: Sequence[str]) -> None:
    keys = (key for folder in folders for key in backend.list_after(folder))
    found = FORMAT_KEY if backend.exists(FORMAT_KEY) else next(keys, None)
    if found is not None:
        raise NotEmpty(f"{backend!r} holds {found} already: name a new place")


def _create_all(
    entries: Iterator[Entry], backend: Backend, folders: tuple[str, ...], made: list[str]
) -> bytes:
    """Create all but `format.json`, which must be the last; return that."""
    for key, data in entries:
        if key == FORMAT_KEY:
            decode(StoreFormat, data, key)
            _refuse_more(entries)
            return data
        _check(key, data, folders)
        backend.create(key, data)
        made.append(key)
    raise InvalidArchive(f"The archive ends before {FORMAT_KEY}: it was cut off, use another copy")


def _refuse_more(entries: Iterator[Entry]) -> None:
    more = next(entries, None)
    if more is not None:
        raise InvalidArchive(f"Member {more[0]!r} comes after {FORMAT_KEY}, which is the last")


def _check(key: str, data: bytes, folders: tuple[str, ...]) -> None:
    """Refuse what a store does not hold. Raises InvalidArchive."""
    try:
        check_key(key)
    except InvalidKey as error:
        raise InvalidArchive(str(error)) from error
    if not key.startswith(folders):
        raise InvalidArchive(f"Member {key!r} belongs to no folder of a store")
    if key.startswith(BLOBS) and key != BLOBS + digest_of(data):
        raise InvalidArchive(f"Member {key!r} holds other bytes than its name says")
