"""What a store says of the batches that were acknowledged: each learnt, and once; one history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from learner.references import references
from prompt_store import Manifest, Store, audit_store
from prompt_store.log import LOG, log_number


@dataclass(frozen=True)
class Sent:
    """A batch that was acknowledged: its task and how many examples it has."""

    task: str
    examples: int


@dataclass(frozen=True)
class Verdict:
    """All but `acknowledged` and `versions` should be 0, and no fault found.

    waiting: batches that are there and not published yet;  lost: that are not there, or that were
    given up;  learnt_twice: that two versions name;
    unasked: that a version names and nobody sent;  miscounted: tasks whose number of learnt
    examples in the live version is another than was sent;  gaps: numbers missing in the log;
    forks: versions whose parent was not live
    """

    acknowledged: int
    versions: int
    waiting: int
    lost: int
    learnt_twice: int
    unasked: int
    miscounted: int
    gaps: int
    forks: int
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        counts = (self.waiting, self.lost, self.learnt_twice, self.unasked, self.miscounted)
        return not any((*counts, self.gaps, self.forks, self.faults))


def judge(store: Store, sent: Mapping[str, Sent]) -> Verdict:
    """Compare the whole log with what was acknowledged, by batch. Writes nothing.

    For runs of less than an hour: then retention has deleted nothing of the log.
    """
    numbers = [log_number(key) for key in store.backend.list_after(LOG)]
    log = [store.manifest(number) for number in numbers]
    learnt = Counter(batch for manifest in log for batch in manifest.batches)
    decided = Counter(batch for manifest in log for batch in manifest.decided)
    waiting = sent.keys() & set(store.intake.pending())
    return Verdict(
        acknowledged=len(sent),
        versions=len(log),
        waiting=len(waiting),
        lost=sum(not _is_published(store, batch) for batch in sent.keys() - waiting),
        learnt_twice=sum(max(learnt[b], decided[b]) > 1 for b in learnt | decided),
        unasked=len(learnt.keys() - sent.keys()),
        miscounted=_miscounted(store, sent),
        gaps=max(numbers, default=0) - len(log),
        forks=_forks(log),
        faults=tuple(map(str, audit_store(store.backend, references).faults)),
    )


def _is_published(store: Store, batch: str) -> bool:
    outcome = store.intake.outcome(batch)
    return outcome is not None and outcome.status == "published"


def _miscounted(store: Store, sent: Mapping[str, Sent]) -> int:
    expected: Counter[str] = Counter()
    for batch in sent.values():
        expected[batch.task] += batch.examples
    live = store.timeline().live
    tasks = {} if live is None else store.manifest(live).tasks
    found = Counter({name: entry.examples for name, entry in tasks.items()})
    return sum(found[task] != expected[task] for task in found | expected)


def _forks(log: Sequence[Manifest]) -> int:
    live, forks = None, 0
    for manifest in log:
        forks += manifest.parent != live
        live = manifest.version if manifest.kind.goes_live else live
    return forks
