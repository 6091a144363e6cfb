"""Which versions stay: a pure function of the log, the pins and the time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prompt_store.manifest import Kind, Manifest
from prompt_store.retention.config import RetentionConfig
from prompt_store.timeline import Timeline


@dataclass(frozen=True)
class Choice:
    """drop: numbers that go, ascending.

    forgetting: those that go because they hold what a `forget` has ended, by its number; every
    `forget` that is due is there
    """

    drop: tuple[int, ...]
    forgetting: dict[int, tuple[int, ...]]

    @property
    def top(self) -> int:
        """The highest number that goes, 0 where none does."""
        return self.drop[-1] if self.drop else 0


def choose(
    kept: Sequence[Manifest],
    timeline: Timeline,
    pinned: Collection[int],
    forgets: Collection[int],
    bound: int,
    config: RetentionConfig,
    now: float,
) -> Choice:
    """Choose among the kept manifests, oldest first; none above `bound` goes.

    forgets: numbers of those that were due before, whose manifests may be gone by now

    What serves or is still needed to decide a batch stays whatever else holds. A `forget` that is
    older than the grace period ends everything else that holds what it removed: also the newest
    versions, and pinned ones, for a pin is a convenience and a `forget` a promise to somebody.
    """
    by_number = {one.version: one for one in kept}
    live = None if timeline.live is None else by_number.get(timeline.live)
    held = _held(timeline, by_number)
    first = _first_of_newest(kept, config.versions)
    wanted = {*pinned, *([] if live is None or live.parent is None else [live.parent])}
    new = {m.version for m in kept if m.kind is Kind.FORGET and _is_old(m, config, now)}
    forgetting: dict[int, tuple[int, ...]] = {}
    drop: set[int] = set()
    candidates = [
        m for m in kept if m.version <= bound and m.version not in held and _is_old(m, config, now)
    ]
    for number in sorted(new.union(forgets)):
        ended = [m.version for m in candidates if holds_what_went(m, number, by_number)]
        forgetting[number] = tuple(version for version in ended if version not in drop)
        drop |= set(ended)
    drop |= {m.version for m in candidates if m.version < first and m.version not in wanted}
    return Choice(tuple(sorted(drop)), forgetting)


def holds_what_went(manifest: Manifest, forget: int, known: dict[int, Manifest]) -> bool:
    """Whether a version's content comes from before a `forget`: also a later rollback's does.

    Where what it was made from is dropped already, only its own number tells.
    """
    one: Manifest | None = manifest
    while one is not None and one.kind.has_content and one.version != forget:
        if one.version < forget:
            return True
        base = one.source if one.source is not None else one.parent
        if base is None or base < forget:
            return base is not None
        one = known.get(base)
    return False


def _held(timeline: Timeline, known: dict[int, Manifest]) -> set[int | None]:
    """What the log itself needs, and a canary."""
    canary = known.get(timeline.canary or 0)
    shared = None if canary is None or canary.canary is None else canary.canary.version
    open_batches = (*timeline.undecided.values(), *timeline.decided.values())
    return {timeline.live, timeline.lineage, timeline.canary, shared, *open_batches}


def _first_of_newest(kept: Sequence[Manifest], count: int) -> int:
    """The oldest of so many versions that were live, 1 where there are fewer."""
    were_live = [m.version for m in kept if m.kind.goes_live]
    return were_live[-count] if len(were_live) >= count else 1


def _is_old(manifest: Manifest, config: RetentionConfig, now: float) -> bool:
    return now - manifest.created_at.timestamp() >= config.grace_seconds
