"""One round after another: versions drop out of the log, blobs that nothing names any more go."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prompt_store.errors import Corrupt, NotFound
from prompt_store.manifest import Manifest
from prompt_store.references import Progress, References, no_progress
from prompt_store.retention.config import RetentionConfig
from prompt_store.retention.forgotten import Plan, Plans
from prompt_store.retention.marks import Marks
from prompt_store.retention.policy import Choice, choose
from prompt_store.retention.sweep import Sweep, Swept
from prompt_store.store import Store
from prompt_store.timeline import Timeline

logger = logging.getLogger(__name__)

NOTHING = Choice((), {})
BLOBS_A_ROUND = 256
"""Condemned and erased at once, so that a lesson never waits long for a round."""


@dataclass(frozen=True)
class Round:
    """What one round did, or would do.

    dropped: versions; forgetting: those of them that a `forget` ended, by its number; condemned:
    blobs that will be erased a grace period from now; waiting: those that were condemned before,
    the first of which is erased from `due_at` on; more: whether there is more to do at once
    """

    dropped: tuple[int, ...] = ()
    forgetting: dict[int, tuple[int, ...]] = field(default_factory=dict)
    condemned: int = 0
    condemned_bytes: int = 0
    waiting: int = 0
    due_at: datetime | None = None
    erased: int = 0
    erased_bytes: int = 0
    more: bool = False

    def and_then(self, later: "Round") -> "Round":
        """Both as one."""
        return Round(
            dropped=(*self.dropped, *later.dropped),
            forgetting=self.forgetting | later.forgetting,
            condemned=self.condemned + later.condemned,
            condemned_bytes=self.condemned_bytes + later.condemned_bytes,
            waiting=later.waiting,
            due_at=later.due_at,
            erased=self.erased + later.erased,
            erased_bytes=self.erased_bytes + later.erased_bytes,
            more=later.more,
        )


class Retention:
    """Keeps one store small. Any number of processes may; a crash anywhere does no harm."""

    def __init__(
        self, store: Store, references: References, naming: str, config: RetentionConfig
    ) -> None:
        """naming: how the roles of those blobs begin that may name others, see `References`."""
        self._store = store
        self._config = config
        self._marks = Marks(store, references, naming)
        self._sweep = Sweep(store, self._marks, config.grace_seconds)
        self._plans = Plans(store.backend)

    def run(self, most: int = BLOBS_A_ROUND, progress: Progress = no_progress) -> Round:
        """Drop what the policy drops; then condemn and erase up to `most` blobs each.

        Raises:
            Corrupt, NotFound, UnsupportedFormat: something that says what is needed cannot be
                read; nothing is deleted then. `audit_store` finds all that is wrong.
        """
        choice = self._drop()
        swept = self._sweep.run(most, progress)
        self._report(swept)
        return Round(
            dropped=choice.drop,
            forgetting={n: gone for n, gone in choice.forgetting.items() if gone},
            condemned=swept.condemned,
            condemned_bytes=swept.condemned_bytes,
            waiting=swept.waiting,
            due_at=swept.due_at,
            erased=swept.erased,
            erased_bytes=swept.erased_bytes,
            more=swept.more,
        )

    def preview(self) -> Round:
        """What rounds from now on would drop and condemn. Nothing is written. Raises as `run`."""
        listed = set(self._store.blobs.digests())
        named = self._marks.named()
        kept, choice = self._choice()
        orphans = listed - (named - self._only_named_by(choice, kept))
        return Round(
            dropped=choice.drop,
            forgetting={n: gone for n, gone in choice.forgetting.items() if gone},
            condemned=len(orphans),
            condemned_bytes=self._bytes(orphans),
        )

    def _choice(self) -> tuple[list[Manifest], Choice]:
        timeline = self._store.timeline()
        kept = sorted(self._store.log.kept(timeline.head), key=lambda one: one.version)
        pinned = self._store.pins.all()
        forgets = self._plans.forgets()
        bound = self._bound(timeline)
        now = self._store.clock()
        return kept, choose(kept, timeline, pinned, forgets, bound, self._config, now)

    def _bound(self, timeline: Timeline) -> int:
        """The last number that may go: what open batches and requests look back at stays."""
        learnt = (number - 1 for number in timeline.undecided.values())
        asked = (erasure.after for erasure in self._store.erasures.pending())
        return min((timeline.head - 1, *learnt, *asked))

    def _drop(self) -> Choice:
        """Drop versions; what was dropped, which is nothing where the log has to go on first."""
        kept, choice = self._choice()
        log = self._store.log
        top = choice.top and max(choice.top, log.floor() + 1)
        if top and not (top <= self._bound(log.known) and self._is_old(top) and log.cover(top)):
            return NOTHING
        for forget, versions in choice.forgetting.items():
            if versions or not self._plans.is_known(forget):
                self._plans.add(self._plan(forget, versions, choice, kept))
        if top:
            gone = set(choice.drop)
            try:
                log.raise_floor(top, [m.version for m in kept if m.version not in gone])
            except ValueError as error:  # another has raised it since we looked
                logger.info("no version is dropped now: %s", error)
                return NOTHING
            for version in gone & self._store.pins.all():
                self._store.pins.unpin(version)
        return choice

    def _is_old(self, version: int) -> bool:
        made = self._store.manifest(version).created_at.timestamp()
        return self._store.clock() - made >= self._config.grace_seconds

    def _plan(
        self, forget: int, versions: tuple[int, ...], choice: Choice, kept: list[Manifest]
    ) -> Plan:
        mine = self._marks.of(m for m in kept if m.version in versions)
        gone = mine & self._only_named_by(choice, kept)
        return Plan(
            forget=forget,
            planned_at=self._now(),
            versions=versions,
            blobs=len(gone),
            bytes=self._bytes(gone),
            digests=tuple(sorted(gone)),
        )

    def _only_named_by(self, choice: Choice, kept: list[Manifest]) -> set[str]:
        """What nothing names any more once the versions are dropped."""
        gone = set(choice.drop)
        dropped = self._marks.of(m for m in kept if m.version in gone)
        stays = self._marks.of(m for m in kept if m.version not in gone)
        return dropped - stays - self._marks.pending()

    def _report(self, swept: Swept) -> None:
        """Close the plans of which everything was gone when the sweep began."""
        for plan in self._plans.open():
            digests = set(plan.digests)
            dropped = all(self._store.log.is_past(version) for version in plan.versions)
            if dropped and not digests & swept.listed - swept.named:
                self._plans.close(plan, self._now(), len(digests & swept.named))

    def _bytes(self, digests: set[str]) -> int:
        sizes = []
        for digest in digests:
            try:
                sizes.append(len(self._store.blobs.get(digest)))
            except (NotFound, Corrupt):
                continue
        return sum(sizes)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._store.clock(), UTC)
