"""Whether the gate was right: every candidate against what was live before it, on test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.examiner import Examiner
from benchmarks.streams import StreamTask
from learner.content import ContentReader
from prompt_store import Kind, Manifest, Store


@dataclass(frozen=True)
class Verdict:
    """A candidate; accuracies are means without task id over the tasks it had seen, fractions."""

    version: int
    accepted: bool
    accuracy: float
    accuracy_before: float

    @property
    def outcome(self) -> str:
        """Accepting is right where the candidate is better; a tie is rightly refused."""
        right = self.accepted == (self.accuracy > self.accuracy_before)
        return f"{'right' if right else 'wrong'} {'accepts' if self.accepted else 'refusals'}"


OUTCOMES = ("right accepts", "wrong accepts", "right refusals", "wrong refusals")
"""What a verdict's outcome can be."""


def look_back(store: Store, examiner: Examiner, tasks: Sequence[StreamTask]) -> list[Verdict]:
    """Judge every candidate of a store, refused or accepted, in the order they were made."""
    reader, verdicts, live = ContentReader(store.blobs), [], 0
    for number in range(1, store.timeline().head + 1):
        manifest = store.manifest(number)
        if manifest.kind in (Kind.TRAIN, Kind.CANDIDATE) and live:
            seen = [task for task in tasks if task.name in manifest.tasks]
            after, before = (
                _mean(examiner, reader, one, seen) for one in (manifest, store.manifest(live))
            )
            verdicts.append(Verdict(number, manifest.kind is Kind.TRAIN, after, before))
        if manifest.kind.goes_live:
            live = number
    return verdicts


def as_json(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """Counts by outcome, and the verdicts they were counted from."""
    outcomes = [verdict.outcome for verdict in verdicts]
    counts: dict[str, object] = {name: outcomes.count(name) for name in OUTCOMES}
    return counts | {"verdicts": [asdict(verdict) for verdict in verdicts]}


def _mean(
    examiner: Examiner, reader: ContentReader, manifest: Manifest, tasks: Sequence[StreamTask]
) -> float:
    marks = examiner.examine(reader.read(manifest), tasks)
    return float(np.mean(list(marks.unnamed.values())))
