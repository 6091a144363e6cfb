"""Deleting blobs that nothing names: told first, deleted a grace period later.

Nothing else deletes keys of blobs. Any step may be the last: the next sweep goes on from there.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from prompt_store.condemned import (
    Condemned,
    condemned_digests,
    condemned_key,
    find_condemned,
)
from prompt_store.errors import AlreadyExists, Corrupt, CorruptRecord, NotFound
from prompt_store.records import encode
from prompt_store.references import Progress, no_progress
from prompt_store.retention.marks import Marks
from prompt_store.store import Store


@dataclass(frozen=True)
class Swept:
    """What one sweep did. listed, named: digests that are there, and that are named.

    condemned, erased: blobs and their bytes; waiting: condemned ones that are there, of which the
    first is due at `due_at`; more: whether another sweep has more to do at once
    """

    listed: frozenset[str]
    named: frozenset[str]
    waiting: int = 0
    due_at: datetime | None = None
    condemned: int = 0
    condemned_bytes: int = 0
    erased: int = 0
    erased_bytes: int = 0
    more: bool = False


class Sweep:
    """Sweeps one store again and again."""

    def __init__(self, store: Store, marks: Marks, grace: float) -> None:
        self._store = store
        self._marks = marks
        self._grace = grace
        self._known: dict[str, Condemned] = {}

    def run(self, most: int, progress: Progress = no_progress) -> Swept:
        """Condemn and erase up to `most` blobs each. Raises as `Marks.named` does.

        What is there is listed before what is named: all that was named in between is spared.
        """
        condemned = set(condemned_digests(self._store.backend))
        listed = set(self._store.blobs.digests())
        looked_at = self._store.clock()
        named = self._marks.named()
        self._marks.forget_all_but(named)
        for digest in condemned & named:
            self._acquit(digest)
        records = [
            record for digest in sorted(condemned - named) if (record := self._record(digest))
        ]
        for record in records:
            if record.digest not in listed and self._age(record) >= 2 * self._grace:
                self._acquit(record.digest)
        present = [record for record in records if record.digest in listed]
        due = [record for record in present if self._age(record) >= self._grace]
        orphans = sorted(listed - named - condemned)
        steps = count(1)
        total = min(len(orphans), most) + min(len(due), most)
        sizes = []
        for digest in orphans[:most]:
            sizes.append(self._condemn(digest))
            progress(next(steps), total)
        erased = []
        for record in due[:most]:
            if self._store.clock() - looked_at > self._grace / 2:
                break  # it has stood still: what it saw may be out of date
            if self._erase(record):
                erased.append(record.size)
            progress(next(steps), total)
        since = [record.condemned_at for record in present if record not in due]
        return Swept(
            frozenset(listed),
            frozenset(named),
            waiting=len(since),
            due_at=min(since) + timedelta(seconds=self._grace) if since else None,
            condemned=len(sizes),
            condemned_bytes=sum(sizes),
            erased=len(erased),
            erased_bytes=sum(erased),
            more=len(orphans) > most or len(due) > most,
        )

    def _condemn(self, digest: str) -> int:
        size = self._size(digest)
        record = Condemned(
            digest=digest,
            condemned_at=datetime.fromtimestamp(self._store.clock(), UTC),
            copy_name=secrets.token_hex(8),
            size=size,
        )
        with suppress(AlreadyExists):
            self._store.backend.create(condemned_key(digest), encode(record))
        return size

    def _record(self, digest: str) -> Condemned | None:
        if digest not in self._known:
            record = self._read(digest)
            if record is None:
                return None
            self._known[digest] = record
        return self._known[digest]

    def _read(self, digest: str) -> Condemned | None:
        try:
            return find_condemned(self._store.backend, digest)
        except CorruptRecord:
            self._acquit(digest)  # it is condemned anew, and waits again
            return None

    def _erase(self, record: Condemned) -> bool:
        """Delete its keys but the copy that somebody made meanwhile; whether there were any.

        The record stays for another grace period: what is put again while a delete may still come
        late is copied to where that does not reach.
        """
        if self._read(record.digest) != record:
            self._known.pop(record.digest, None)
            return False  # others have acquitted it, and perhaps condemned it anew
        keys = [key for key in self._store.blobs.keys(record.digest) if key != record.copy_key]
        for key in keys:
            self._store.backend.delete(key)
        if not keys and self._age(record) >= 2 * self._grace:
            self._acquit(record.digest)
        return bool(keys)

    def _acquit(self, digest: str) -> None:
        self._store.backend.delete(condemned_key(digest))
        self._known.pop(digest, None)

    def _age(self, record: Condemned) -> float:
        return self._store.clock() - record.condemned_at.timestamp()

    def _size(self, digest: str) -> int:
        try:
            return len(self._store.blobs.get(digest))
        except (NotFound, Corrupt):
            return 0
