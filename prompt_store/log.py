"""The append-only log. Creating `log/<n+1>` is the commit; live is computed, never stored.

Numbers are dense above the floor: reading on from a known number finds the head without a listing,
and one read answers a poll that finds nothing new.
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from threading import RLock

from prompt_store.backends.base import Backend
from prompt_store.errors import (
    AlreadyExists,
    Conflict,
    CorruptRecord,
    FencedOut,
    InvalidDraft,
    NotFound,
    UnknownVersion,
)
from prompt_store.floor import Floor
from prompt_store.manifest import Draft, Kind, Manifest
from prompt_store.milestones import KEPT, Milestones
from prompt_store.records import decode, encode
from prompt_store.timeline import Timeline, fold

LOG = "log/"
CHECKPOINTS = "checkpoints/"
FLOORS = "floors/"
CHECKPOINT_EVERY = 32  # manifests; bounds what opening reads
CACHED_MANIFESTS = 64
STALE_AFTER = 60.0  # seconds without a look at the log, after which it may have moved past us
GRACE = 3600.0  # seconds for which a manifest is never deleted; far above STALE_AFTER


class Log:
    """The folders `log/`, `checkpoints/` and `floors/`. Safe for threads and processes."""

    def __init__(self, backend: Backend, *, clock: Callable[[], float] = time.time) -> None:
        self._backend = backend
        self._clock = clock
        self._checkpoints = Milestones(backend, CHECKPOINTS, Timeline)
        self._floors = Milestones(backend, FLOORS, Floor)
        self._lock = RLock()
        self._known = Timeline()
        self._looked_at = float("-inf")
        self._load = lru_cache(CACHED_MANIFESTS)(self._read)

    @property
    def known(self) -> Timeline:
        """The timeline as last seen; reads nothing."""
        return self._known

    def timeline(self) -> Timeline:
        """Catch up with the log: one read where nothing is new.

        Raises:
            CorruptRecord, UnsupportedFormat: a manifest that cannot be read blocks the log.
        """
        with self._lock:
            now = self._clock()
            known = self._known
            if not 0 <= now - self._looked_at < STALE_AFTER:
                # Numbers right after ours may be deleted by now: ask the checkpoints first.
                known = self._restored(known)
            while (manifest := self._find(known.head + 1)) is not None:
                known = fold(known, manifest)
            self._known, self._looked_at = known, now
            return known

    def manifest(self, version: int) -> Manifest:
        """Return one manifest. Raises UnknownVersion, CorruptRecord, UnsupportedFormat."""
        return self._load(version)

    def newest(self, limit: int, *, before: int | None = None) -> list[Manifest]:
        """Return up to `limit` kept manifests, newest first, below `before`; reads no others."""
        head = self.timeline().head
        top = head if before is None else min(head, before - 1)
        return list(islice(self.kept(top), limit))

    def kept(self, top: int) -> Iterator[Manifest]:
        """Yield the kept manifests at or below `top`, newest first."""
        found = (self._find(number) for number in self.numbers_from(top))
        return (manifest for manifest in found if manifest is not None)

    def numbers_from(self, top: int) -> Iterator[int]:
        """Yield the numbers at or below `top` that may be there, descending."""
        floor = self._floors.newest()
        bottom, kept = (floor.top, floor.kept) if floor else (0, ())
        yield from range(top, bottom, -1)
        yield from (number for number in reversed(kept) if number <= top)

    def floor(self) -> int:
        """The highest number that may be deleted, 0 where none may."""
        return self._floors.newest_number()

    def is_past(self, version: int) -> bool:
        """Whether the log has no place for this number any more, by the newest floor."""
        if self._floors.newest_number() < version:
            return False
        floor = self._floors.newest()
        return floor is not None and floor.has_retired(version)

    def append(self, draft: Draft, *, after: int) -> Manifest:
        """Commit `draft` as number `after + 1`.

        Any other error than those below leaves open whether the commit happened: look at the
        timeline, as after a crash.

        Raises:
            Conflict: the log does not end at `after`.
            FencedOut: a learner with a higher epoch has started.
            InvalidDraft: epoch, parent or batches contradict the timeline.
        """
        with self._lock:
            if self._known.head != after:
                self.timeline()
            self._check_turn(draft, after)
            check_draft(draft, self._known)
            manifest = self._numbered(draft, after + 1)
            if not self._commit(manifest):
                self.timeline()
                self._check_turn(draft, after)
                raise Conflict(f"Number {after + 1} came and went: try again", head=after)
            self._known = fold(self._known, manifest)
            if manifest.version % CHECKPOINT_EVERY == 0:
                self._checkpoints.add(self._known)
            return manifest

    def cover(self, top: int) -> bool:
        """Add checkpoints, so that a floor may be raised to `top`; whether it may be now.

        Where the manifests before `top` are gone, it may be after the next commit.
        """
        timeline = self.timeline()
        if top >= timeline.head or top <= self._floors.newest_number():
            return False
        if not self._is_covered(top):
            self._checkpoints.add(timeline)
        if not self._is_covered(top) and (before := self._folded_to(top)) is not None:
            self._checkpoints.add(before)
        return self._is_covered(top)

    def _is_covered(self, top: int) -> bool:
        numbers = self._checkpoints.numbers()
        return len(numbers) >= KEPT and numbers[0] >= top

    def _folded_to(self, number: int) -> Timeline | None:
        """The timeline after manifest `number`; None where the log before it is gone."""
        at_or_before = [n for n in self._checkpoints.numbers() if n <= number]
        if not at_or_before and self._floors.newest_number():
            return None
        timeline = self._checkpoints.read(at_or_before[-1]) if at_or_before else Timeline()
        for version in range(timeline.head + 1, number + 1):
            timeline = fold(timeline, self.manifest(version))
        return timeline

    def raise_floor(self, top: int, keep: Collection[int]) -> Floor:
        """Delete every manifest up to `top` but those in `keep` and those the timeline needs.

        Raises:
            ValueError: `top` is above a checkpoint, not above the floor, or younger than GRACE.
        """
        timeline = self.timeline()
        self._check_floor(top)
        needed = {timeline.live, timeline.lineage, *timeline.undecided.values(), *keep}
        needed |= self._of_canary(timeline)
        kept = [number for number in self.numbers_from(top) if number in needed]
        floor = Floor(top=top, kept=tuple(sorted(kept)))
        self._floors.add(floor)  # first, so that nobody takes a deleted number for a free one
        floor = self._floors.newest() or floor  # another's, where it came first, is what holds
        for key in self._backend.list_after(LOG):
            if key > log_key(top):
                break
            if floor.has_retired(log_number(key)):
                self._backend.delete(key)
        return floor

    def _of_canary(self, timeline: Timeline) -> set[int]:
        """The manifest that speaks of the canary, and the version it serves."""
        if timeline.canary is None:
            return set()
        canary = self.manifest(timeline.canary).canary
        return {timeline.canary} if canary is None else {timeline.canary, canary.version}

    def _restored(self, known: Timeline) -> Timeline:
        """Return the newest checkpoint, or `known` where that is newer."""
        floor = self._floors.newest_number()  # before the checkpoints, which only move up
        restored = self._checkpoints.newest() or Timeline()
        newer = max(known, restored, key=lambda timeline: timeline.head)
        if newer.head < floor:
            raise CorruptRecord(
                f"No checkpoint at or above {floor} can be read, and the log below it is deleted: "
                "restore checkpoints/ from a backup"
            )
        return newer

    def _check_turn(self, draft: Draft, after: int) -> None:
        known = self._known
        if draft.kind.needs_the_epoch and draft.epoch < known.epoch:
            raise FencedOut(
                f"{draft.writer} has epoch {draft.epoch}, a learner with {known.epoch} has started"
            )
        if known.head != after:
            raise Conflict(f"The log ends at {known.head}, not at {after}", head=known.head)

    def _numbered(self, draft: Draft, version: int) -> Manifest:
        created_at = datetime.fromtimestamp(self._clock(), UTC)
        commit = secrets.token_hex(16)
        return Manifest(**dict(draft), version=version, created_at=created_at, commit=commit)

    def _commit(self, manifest: Manifest) -> bool:
        """Create the manifest's key; False where the number is another's, or past."""
        key, data = log_key(manifest.version), encode(manifest)
        try:
            self._backend.create(key, data)
        except AlreadyExists:
            if not self._holds(key, data):
                return False
        # A writer that slept must not resurrect a deleted number: a timeline folded from it would
        # differ from everybody else's. The floor was raised before the number was deleted, so it
        # shows now. (A checkpoint at or above our number would not prove this: others may have
        # appended and checkpointed since our create.)
        if self.is_past(manifest.version):
            self._backend.delete(key)
            self._looked_at = float("-inf")
            return False
        return True

    def _holds(self, key: str, data: bytes) -> bool:
        """Whether the entry is ours: a network may repeat a create whose reply it lost."""
        try:
            return self._backend.read(key) == data
        except NotFound:
            return False

    def _check_floor(self, top: int) -> None:
        checkpoints = self._checkpoints.numbers()
        if not checkpoints or top > checkpoints[0]:
            raise ValueError(f"Floor {top} is above a checkpoint: {checkpoints} must all cover it")
        if top <= self._floors.newest_number():
            raise ValueError(f"Floor {top} is not above {self._floors.newest_number()}")
        age = self._clock() - self.manifest(top).created_at.timestamp()
        if age < GRACE:
            raise ValueError(f"Manifest {top} is {age:.0f} s old; only after {GRACE:.0f} s")

    def _find(self, version: int) -> Manifest | None:
        try:
            return self._load(version)
        except UnknownVersion:
            return None

    def _read(self, version: int) -> Manifest:
        if version < 1:
            raise UnknownVersion(f"There is no version {version}: they count from 1")
        key = log_key(version)
        try:
            manifest = decode(Manifest, self._backend.read(key), key)
        except NotFound:
            raise UnknownVersion(f"There is no version {version} (any more)") from None
        if manifest.version != version:
            raise CorruptRecord(
                f"{key} holds manifest {manifest.version}: it was renamed or copied"
            )
        return manifest


def log_key(version: int) -> str:
    """Where a manifest lies."""
    return f"{LOG}{version:020d}.json"


def log_number(key: str) -> int:
    """The inverse of `log_key`. Raises ValueError for what is no manifest's key."""
    return int(key.removeprefix(LOG).removesuffix(".json"))


def check_draft(draft: Draft, timeline: Timeline) -> None:
    """Refuse what would make the history contradict itself. Raises InvalidDraft."""
    epoch = timeline.epoch + (draft.kind is Kind.FENCE)
    if draft.epoch != epoch:
        raise InvalidDraft(f"A {draft.kind} here has epoch {epoch}, not {draft.epoch}")
    canary = draft.canary
    if canary is not None and not canary.percent and timeline.canary is None:
        raise InvalidDraft(f"There is no canary to end: {canary}")
    named = {"parent": draft.parent, "source": draft.source}
    named["canary"] = canary.version if canary else None
    for field, number in named.items():
        if number is not None and number > timeline.head:
            raise InvalidDraft(f"{field} {number} is not in the log, which ends at {timeline.head}")
    if learnt := [batch for batch in draft.batches if timeline.learnt_by(batch)]:
        raise InvalidDraft(f"Batches {learnt[:5]} are learnt already")
    if unlearnt := set(draft.decided) - timeline.undecided.keys() - set(draft.batches):
        raise InvalidDraft(f"Batches {sorted(unlearnt)[:5]} are not waiting for a decision")
