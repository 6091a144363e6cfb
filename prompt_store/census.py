"""What a store holds, counted."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from prompt_store.backends.base import contents
from prompt_store.batch import Batch, Settled
from prompt_store.condemned import condemned_digests
from prompt_store.errors import Corrupt, NotFound, StoreError
from prompt_store.intake import PENDING, SETTLED
from prompt_store.manifest import Manifest
from prompt_store.records import RecordType, decode
from prompt_store.references import (
    Mention,
    Progress,
    References,
    follow,
    named_by_batch,
    named_by_manifest,
    no_progress,
)
from prompt_store.store import Store


@dataclass(frozen=True)
class Size:
    """So many blobs of so many bytes."""

    blobs: int
    bytes: int


@dataclass(frozen=True)
class Census:
    """What a store holds.

    versions: kept ones, with content; oldest, newest: when the first and last of them were made;
    tasks, classes: of the live one; learnt: batches whose prompts are decided; keys: ever made;
    blobs: by kind; orphans: blobs that nothing names; condemned: those of them that retention will
    delete
    """

    versions: int
    pinned: int
    live: int | None
    oldest: datetime | None
    newest: datetime | None
    tasks: int
    classes: int
    pending: int
    learnt: int
    failed: int
    keys: int
    keys_revoked: int
    blobs: dict[str, Size]
    orphans: Size
    condemned: Size


def take_census(store: Store, references: References, progress: Progress = no_progress) -> Census:
    """Count. Every blob is read, as a place tells no sizes; nothing is written.

    Raises:
        CorruptRecord, UnsupportedFormat: a record cannot be read. A blob that cannot is left out.
    """
    listed = store.blobs.digests()
    pending = _records(store, PENDING, Batch)
    settled = _records(store, SETTLED, Settled)
    timeline = store.timeline()
    mentions: dict[str, Mention] = {}
    for batch in pending:
        mentions |= named_by_batch(batch)
    made: list[datetime] = []
    for manifest in store.log.kept(timeline.head):
        mentions = named_by_manifest(manifest) | mentions
        if manifest.kind.has_content:
            made.append(manifest.created_at)
    live = None if timeline.live is None else store.manifest(timeline.live)
    blobs, named = _sizes(store, mentions, references, progress)
    keys = store.keys.known()
    outcomes = Counter(outcome.status for outcome in settled)
    return Census(
        versions=len(made),
        pinned=len(store.pins.all()),
        live=timeline.live,
        oldest=min(made, default=None),
        newest=max(made, default=None),
        tasks=len(_tasks(live)),
        classes=0 if live is None else len(live.labels),
        pending=len({batch.id for batch in pending} - {outcome.batch for outcome in settled}),
        learnt=outcomes["published"],
        failed=outcomes["failed"],
        keys=len(keys),
        keys_revoked=sum(one.revoked_at is not None for one in keys.values()),
        blobs=blobs,
        orphans=_size_of(store, set(listed) - named),
        condemned=_size_of(
            store, set(condemned_digests(store.backend)).intersection(listed) - named
        ),
    )


def _records(store: Store, folder: str, record_type: type[RecordType]) -> list[RecordType]:
    return [decode(record_type, data, key) for key, data in contents(store.backend, folder)]


def _tasks(live: Manifest | None) -> set[str]:
    return set() if live is None else {name.partition("/")[0] for name in live.labels}


def _sizes(
    store: Store, mentions: dict[str, Mention], references: References, progress: Progress
) -> tuple[dict[str, Size], set[str]]:
    """Sizes by kind, and the digests of all blobs that are named."""
    blobs, lengths, named = Counter[str](), Counter[str](), set()
    for found in follow(store.blobs, mentions, references, progress):
        named.add(found.digest)
        if not isinstance(found.data, StoreError):
            blobs[found.mention.kind] += 1
            lengths[found.mention.kind] += len(found.data)
    return {kind: Size(blobs[kind], lengths[kind]) for kind in sorted(blobs)}, named


def _size_of(store: Store, digests: set[str]) -> Size:
    lengths = []
    for digest in digests:
        try:
            lengths.append(len(store.blobs.get(digest)))
        except (NotFound, Corrupt):
            continue
    return Size(len(digests), sum(lengths))
