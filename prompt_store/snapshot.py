"""A store as it was at one moment, while others write to it: what belongs together at one head.

The order of reading makes it whole. Requests and batches come before the log, since what the log
does with them removes them; outcomes after it, as far as its head goes; blobs last, as they stay.
So no batch is lost and none is learnt twice, whatever is committed meanwhile.
"""

from collections.abc import Iterator, Sequence

from prompt_store.backends.base import Backend, contents
from prompt_store.batch import Batch, Settled
from prompt_store.blobs import blob_key
from prompt_store.erasures import ERASURES
from prompt_store.errors import Conflict, NotFound, StoreError
from prompt_store.floor import Floor
from prompt_store.intake import PENDING, SETTLED
from prompt_store.log import CHECKPOINTS, FLOORS, LOG, log_key
from prompt_store.milestones import Milestones, milestone_key
from prompt_store.pins import PINS
from prompt_store.records import decode, encode
from prompt_store.references import (
    Mention,
    Progress,
    References,
    follow,
    named_by_batch,
    named_by_manifest,
    no_progress,
)
from prompt_store.store import FORGOTTEN, FORMAT_KEY, Store
from prompt_store.timeline import Timeline

Entry = tuple[str, bytes]
"""A key and its content."""


class Snapshot:
    """One reading of a store, up to the head that its log has meanwhile."""

    def __init__(
        self,
        store: Store,
        references: References,
        beside: Sequence[str] = (),
        progress: Progress = no_progress,
    ) -> None:
        """Read from `store`. beside: folders in which other rooms keep records of their own."""
        self._store = store
        self._backend: Backend = store.backend
        self._references = references
        self._beside = beside
        self._progress = progress
        self._timeline = Timeline()
        self._batches: set[str] = set()
        self._mentions: dict[str, Mention] = {}

    def entries(self) -> Iterator[Entry]:
        """Yield keys and contents: blobs before the log, `format.json` at the very end.

        Raises:
            NotFound, Corrupt, InvalidTensor: damage is met; `audit_store` finds all that is wrong.
            Conflict: retention has overtaken the reading; begin again.
        """
        format_record = self._backend.read(FORMAT_KEY)
        for folder in (*self._beside, ERASURES, PINS, FORGOTTEN):
            yield from contents(self._backend, folder)
        yield from self._store.keys.contents()
        yield from self._intake()
        for manifest in self._store.log.kept(self._timeline.head):
            self._mentions = named_by_manifest(manifest) | self._mentions
        yield from self._blobs()
        yield from self._log()
        yield FORMAT_KEY, format_record

    def _intake(self) -> Iterator[Entry]:
        """Pass over the intake until it knows every batch that the log up to the head holds open.

        What was accepted and learnt since the last pass is found by the next one. A head that
        stands still means that the store has lost the batch.
        """
        seen: set[str] = set()
        while True:
            before = self._timeline.head
            yield from self._pending(seen)
            self._timeline = self._store.timeline()
            yield from self._settled(seen)
            if self._timeline.head == before or self._timeline.unsettled <= self._batches:
                return

    def _pending(self, seen: set[str]) -> Iterator[Entry]:
        for key, data in contents(self._backend, PENDING):
            if key not in seen:
                seen.add(key)
                batch = decode(Batch, data, key)
                self._batches.add(batch.id)
                self._mentions |= named_by_batch(batch)
                yield key, data

    def _settled(self, seen: set[str]) -> Iterator[Entry]:
        """What came about above the head is left out: these batches are pending here."""
        for key, data in contents(self._backend, SETTLED):
            if key not in seen:
                settled = decode(Settled, data, key)
                later = settled.batch in self._timeline.undecided
                if not later and (settled.version or 0) <= self._timeline.head:
                    seen.add(key)
                    self._batches.add(settled.batch)
                    yield key, data

    def _blobs(self) -> Iterator[Entry]:
        blobs = self._store.blobs
        for found in follow(blobs, self._mentions, self._references, self._progress):
            if not isinstance(found.data, StoreError):
                yield blob_key(found.digest), found.data
            elif self._backend.exists(found.mention.where):
                raise found.data

    def _log(self) -> Iterator[Entry]:
        """The manifests, where their fold stands, and what retention has deleted of them."""
        log, head = self._store.log, self._timeline.head
        self._refuse_gap(head + 1)
        if head:
            yield milestone_key(CHECKPOINTS, head), encode(self._timeline)
        for number in log.numbers_from(head):
            try:
                yield log_key(number), self._backend.read(log_key(number))
            except NotFound:
                if not log.is_past(number):
                    raise
        floor = Milestones(self._backend, FLOORS, Floor).newest()
        if floor is None:
            return
        if floor.top > head:
            raise Conflict("Retention has overtaken this reading: begin again", head=head)
        yield milestone_key(FLOORS, floor.top), encode(floor)

    def _refuse_gap(self, number: int) -> None:
        """What lies above the head came meanwhile, unless the number after it is missing."""
        beyond = next(self._backend.list_after(LOG, log_key(number)), None)
        if beyond is None or self._backend.exists(log_key(number)):
            return
        if not self._store.log.is_past(number):
            raise NotFound(f"{log_key(number)} is missing, though {beyond} is there")
