"""Versions: what was published, and making one of them live again. Every call blocks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from prompt_store import Canary, Manifest, Store, UnknownVersion
from serving import audit
from serving.pins import unknown_version
from serving.problems import Problem

WRITER = "api"  # of manifests appended by a caller's word


@dataclass(frozen=True)
class Page:
    """Manifests, newest first. before: where the next page begins, None on the last."""

    live: int | None
    versions: Sequence[Manifest]
    before: int | None


class History:
    """The log of one store, as served by one backbone."""

    def __init__(self, store: Store, fingerprint: str) -> None:
        self._store = store
        self._fingerprint = fingerprint

    def pinned(self) -> frozenset[int]:
        """The versions that retention never drops for their age."""
        return self._store.pins.all()

    def page(self, limit: int, before: int | None) -> Page:
        """Up to `limit` kept versions below `before`."""
        live = self._store.timeline().live
        found = self._store.manifests(limit + 1, before=before)
        more = len(found) > limit
        shown = found[:limit]
        return Page(live, shown, shown[-1].version if more else None)

    def get(self, version: int) -> tuple[Manifest, bool]:
        """One version, and whether it is live. Raises Problem unknown-version."""
        try:
            manifest = self._store.kept(version)
        except UnknownVersion as error:
            raise unknown_version(version) from error
        return manifest, self._store.timeline().live == version

    def pin(self, version: int) -> tuple[Manifest, bool]:
        """Keeps a version whatever its age. Durable when it returns; again changes nothing.

        Raises Problem: unknown-version, not-promotable (a fence).
        """
        _refuse_mark(self.get(version)[0])
        known = version in self.pinned()
        try:
            manifest = self._store.pin(version, audit.acting.get())
        except UnknownVersion as error:
            raise unknown_version(version) from error
        if not known:
            audit.tell("pin", version=version)
        return manifest, self._store.timeline().live == version

    def unpin(self, version: int) -> tuple[Manifest, bool]:
        """A version may go when its turn comes. Raises Problem unknown-version."""
        if version in self.pinned():
            self._store.pins.unpin(version)
            audit.tell("unpin", version=version)
        return self.get(version)

    def check(self, version: int) -> None:
        """Whether this version may be promoted.

        Raises Problem: unknown-version, not-promotable (no content), version-not-loadable (another
        backbone's: it would leave every replica without anything to serve).
        """
        manifest, _ = self.get(version)
        _refuse_mark(manifest)
        if manifest.backbone != self._fingerprint:
            raise Problem(
                "version-not-loadable",
                f"version {version} was made for another backbone than this server runs",
                version=version,
            )

    def promote(self, version: int) -> Manifest:
        """Makes this version's content live again, under a new number. The live one stays as is.

        Raises as `check` does.
        """
        self.check(version)
        manifest, is_live = self.get(version)
        if is_live:
            return manifest
        promoted = self._store.promote(version, WRITER, audit.acting.get())
        audit.tell(promoted.kind, version=promoted.version, source=version)
        return promoted

    def start_canary(self, canary: Canary) -> Manifest | None:
        """Gives a version its share; None where it has it already. Raises as `check` does."""
        self.check(canary.version)
        entry, _ = self.canary()
        if entry is not None and entry.canary == canary:
            return None
        started = self._store.start_canary(canary, WRITER, audit.acting.get())
        audit.tell(started.kind, version=canary.version, percent=canary.percent)
        return started

    def canary(self) -> tuple[Manifest | None, Manifest | None]:
        """What speaks of the canary under way, and what ended the last one; None for neither."""
        timeline = self._store.timeline()
        return self._kept(timeline.canary), self._kept(timeline.canary_end)

    def _kept(self, number: int | None) -> Manifest | None:
        if number is not None:
            with suppress(UnknownVersion):
                return self._store.manifest(number)
        return None


def _refuse_mark(manifest: Manifest) -> None:
    if not manifest.kind.has_content:
        mark = (
            f"version {manifest.version} is a {manifest.kind}: a mark in the log, without content"
        )
        raise Problem("not-promotable", mark)
