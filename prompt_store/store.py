"""The store: one place that remembers everything, shared by replicas and learner."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from prompt_store.actor import Actor
from prompt_store.backends import Backend, open_backend
from prompt_store.blobs import BLOBS, Blobs
from prompt_store.checks import race
from prompt_store.condemned import CONDEMNED, COPIES
from prompt_store.erasures import ERASURES, Erasures
from prompt_store.errors import (
    AlreadyExists,
    Conflict,
    CorruptRecord,
    InvalidDraft,
    NotFound,
    UnknownVersion,
    UnsafeBackend,
)
from prompt_store.fields import Moment
from prompt_store.intake import PENDING, SETTLED, Intake
from prompt_store.keys import KEYS, Keys
from prompt_store.log import CHECKPOINTS, FLOORS, LOG, Log
from prompt_store.manifest import Canary, Draft, Kind, Manifest
from prompt_store.pins import PINS, Pins
from prompt_store.records import Record, decode, encode
from prompt_store.timeline import Timeline

FORMAT_KEY = "format.json"
FORGOTTEN = "forgotten/"
FOLDERS = (
    LOG, BLOBS, CHECKPOINTS, FLOORS, PENDING, SETTLED, ERASURES, KEYS, PINS, FORGOTTEN, CONDEMNED,
    COPIES,
)  # fmt: skip
PROBING_THREADS = 4
CONTENT = frozenset({"backbone", "method", "labels", "tasks", "blobs", "int8"})  # what it serves


class StoreFormat(Record):
    """`format.json`: which layout this store has."""

    FORMAT: ClassVar[int] = 1

    created_at: Moment

    @classmethod
    def read(cls, backend: Backend) -> "StoreFormat":
        """Return a store's. Raises NotFound, UnsupportedFormat, CorruptRecord."""
        return decode(cls, backend.read(FORMAT_KEY), FORMAT_KEY)


class Store:
    """The facade. Every operation is safe for threads and processes."""

    def __init__(self, backend: Backend, *, clock: Callable[[], float] = time.time) -> None:
        """Use `open`, or `on` for a backend of your own: they check what they open, and make it."""
        self.backend = backend
        self.clock = clock
        self.blobs = Blobs(backend, clock=clock)
        self.log = Log(backend, clock=clock)
        self.intake = Intake(backend)
        self.erasures = Erasures(backend)
        self.keys = Keys(backend)
        self.pins = Pins(backend)

    @classmethod
    def open(cls, url: str | Path) -> "Store":
        """Open or create the store at a folder or a URL; see `open_backend`.

        Raises:
            InvalidUrl: no backend is for it.
            Unavailable: the bucket cannot be used.
            UnsafeBackend: create-if-absent is not exclusive there.
            UnsupportedFormat, CorruptRecord: `format.json` is not ours to read.
        """
        return cls.on(open_backend(url))

    @classmethod
    def on(cls, backend: Backend, *, clock: Callable[[], float] = time.time) -> "Store":
        """Open or create the store in `backend`. Raises as `open` does."""
        probe_exclusive(backend)
        _settle_format(backend)
        return cls(backend, clock=clock)

    @classmethod
    def existing(cls, backend: Backend) -> "Store":
        """Open the store in `backend` to read it; nothing is written.

        Raises:
            NotFound, UnsupportedFormat, CorruptRecord: it has no `format.json` that can be read.
        """
        StoreFormat.read(backend)
        return cls(backend)

    def timeline(self) -> Timeline:
        """Catch up with the log (one read where nothing is new)."""
        return self.log.timeline()

    def manifest(self, version: int) -> Manifest:
        """Return one manifest. Raises UnknownVersion."""
        return self.log.manifest(version)

    def kept(self, version: int) -> Manifest:
        """Return one manifest, if retention has not dropped it meanwhile. Raises UnknownVersion."""
        manifest = self.manifest(version)
        if self.log.is_past(version):  # it may be remembered here, or be about to be deleted
            raise UnknownVersion(f"There is no version {version} (any more)")
        return manifest

    def pin(self, version: int, actor: Actor | None = None) -> Manifest:
        """Keep a version however many newer ones there are; a `forget` ends that, see retention.

        Raises:
            UnknownVersion: no such version is kept.
        """
        self.kept(version)
        self.pins.pin(version, actor)
        try:
            return self.kept(version)
        except UnknownVersion:
            self.pins.unpin(version)  # it was dropped just now
            raise

    def manifests(self, limit: int, *, before: int | None = None) -> list[Manifest]:
        """Return up to `limit` manifests, newest first, with numbers below `before`."""
        return self.log.newest(limit, before=before)

    def append(self, draft: Draft, *, after: int) -> Manifest:
        """Commit `draft` as version `after + 1`. Its blobs must have been put before.

        Raises:
            NotFound: a blob it names is absent.
            Conflict, FencedOut, InvalidDraft: see `Log.append`.
        """
        known = self._kept_by_parent(draft)
        for role, digest in draft.blobs.items():
            if digest not in known:
                self._secure(role, digest, put_before=draft.source is None)
        settled = self.intake.settled_among(self.log.known.decided)
        return self.log.append(draft.model_copy(update={"settled": settled}), after=after)

    def _secure(self, role: str, digest: str, *, put_before: bool) -> None:
        try:
            self.blobs.secure(digest, put_before=put_before)
        except NotFound as error:
            raise NotFound(f"The blob of {role!r}, {digest}, is absent: put it before") from error

    def _kept_by_parent(self, draft: Draft) -> frozenset[str]:
        """What the parent names and so keeps: no need to look for it, except to revive it."""
        if draft.parent is None or draft.source is not None:
            return frozenset()
        try:
            return frozenset(self.manifest(draft.parent).blobs.values())
        except UnknownVersion:
            return frozenset()

    def fence(self, writer: str) -> int:
        """Append a fence and return the new epoch: from now on no older learner can commit."""

        def draft(timeline: Timeline) -> Draft:
            epoch = timeline.epoch + 1
            return Draft(kind=Kind.FENCE, epoch=epoch, writer=writer, parent=timeline.live)

        return self._append_until_it_fits(draft).epoch

    def promote(
        self, version: int, writer: str, actor: Actor | None = None, *, after: int | None = None
    ) -> Manifest:
        """Make the content of `version` live again under a new number.

        after: the end of the log for which that was decided; None: whatever has come since

        Raises:
            Conflict: the log goes on behind `after`.
            UnknownVersion: no such version is kept.
            InvalidDraft: the version is a fence or a canary's mark, which has no content.
            NotFound: a blob of it is gone.
        """
        source = self._with_content(version)
        content = {name: getattr(source, name) for name in CONTENT}

        def draft(timeline: Timeline) -> Draft:
            older = timeline.live is not None and version < timeline.live
            return Draft(
                kind=Kind.ROLLBACK if older else Kind.PROMOTE,
                epoch=timeline.epoch,
                writer=writer,
                parent=timeline.live,
                source=version,
                actor=actor,
                **content,
            )

        if after is not None:
            return self.append(draft(self.timeline()), after=after)
        return self._append_until_it_fits(draft)

    def start_canary(self, canary: Canary, writer: str, actor: Actor | None = None) -> Manifest:
        """Give a version its share of the unpinned requests; it takes the place of any before.

        Raises UnknownVersion, InvalidDraft: see `promote`.
        """
        self._with_content(canary.version)
        return self._append_until_it_fits(
            lambda timeline: _canary_draft(canary, timeline, writer, actor),
        )

    def end_canary(
        self, began: int, reason: str, writer: str, actor: Actor | None = None
    ) -> Manifest | None:
        """End the canary that manifest `began` speaks of; None where it is over already."""
        while (timeline := self.timeline()).canary == began:
            canary = self.manifest(began).canary
            assert canary is not None, "only manifests of canaries begin one"
            end = canary.model_copy(update={"percent": 0.0, "reason": reason})
            with suppress(Conflict):
                return self.append(_canary_draft(end, timeline, writer, actor), after=timeline.head)
        return None

    def _with_content(self, version: int) -> Manifest:
        manifest = self.kept(version)
        if not manifest.kind.has_content:
            raise InvalidDraft(f"Version {version} is a {manifest.kind}: it has nothing to serve")
        return manifest

    def _append_until_it_fits(self, draft: Callable[[Timeline], Draft]) -> Manifest:
        """Append what `draft` makes of the newest timeline; each conflict is another's progress."""
        while True:
            timeline = self.timeline()
            with suppress(Conflict):
                return self.append(draft(timeline), after=timeline.head)


def _canary_draft(canary: Canary, timeline: Timeline, writer: str, actor: Actor | None) -> Draft:
    return Draft(
        kind=Kind.CANARY,
        epoch=timeline.epoch,
        writer=writer,
        parent=timeline.live,
        canary=canary,
        actor=actor,
    )


def probe_exclusive(backend: Backend) -> None:
    """Try whether one of several creates of a key wins, and none later. Raises UnsafeBackend."""
    key = f"probe/{secrets.token_hex(16)}"
    with suppress(NotFound):  # where nobody answers, one wait is enough
        backend.read(key)
    winners = race(backend, key, PROBING_THREADS)
    try:
        late = race(backend, key, 1)
        if len(winners) == 1 and not late and backend.read(key) == winners[0]:
            return
    finally:
        backend.delete(key)
    raise UnsafeBackend(
        f"{backend!r} lets a key be created twice, so commits could be lost: use a local file "
        "system with hard links, or an object store with conditional writes"
    )


def _settle_format(backend: Backend) -> None:
    """Create `format.json`, or check the one that is there."""
    if not backend.exists(FORMAT_KEY):
        _refuse_remains(backend)
        with suppress(AlreadyExists):
            backend.create(FORMAT_KEY, encode(StoreFormat(created_at=datetime.now(UTC))))
    StoreFormat.read(backend)


def _refuse_remains(backend: Backend) -> None:
    """A store's first key is `format.json`, an import's last: others without it are remains."""
    remains = next((key for folder in FOLDERS for key in backend.list_after(folder)), None)
    if remains is not None and not backend.exists(FORMAT_KEY):
        raise CorruptRecord(
            f"{backend!r} holds {remains} but no {FORMAT_KEY}: an import or a copy was broken off. "
            "Empty it and begin again"
        )
