"""Live accuracy: how the versions served here did by the feedback that came here.

In memory, of the newest predictions only: replicas are disposable. Over all replicas and all time
Prometheus sums `perennial_feedback_total`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from serving.feedback import Judged, Outcome
from serving.metrics import Metrics

WINDOW: Final = 10_000
"""Predictions, the newest told; a few megabytes."""

_Count = tuple[int, str, Outcome]


@dataclass(frozen=True)
class Tally:
    """Of one version and task: how many predictions were right, wrong, or of a class it lacked."""

    version: int
    task: str
    right: int
    wrong: int
    new: int

    @property
    def accuracy(self) -> float | None:
        """Of the classes it knew; None where nothing was told of them."""
        told = self.right + self.wrong
        return self.right / told if told else None


class LiveAccuracy:
    """The feedback of one replica. Used from one event loop."""

    def __init__(self, metrics: Metrics, window: int = WINDOW) -> None:
        self.since: Final = datetime.now(UTC)
        self.window: Final = window
        self._metrics = metrics
        self._told: OrderedDict[str, _Count] = OrderedDict()

    def count(self, one: Judged) -> bool:
        """Whether this prediction had not been counted yet; the first word on it stays."""
        name = one.truth.prediction_id
        if name in self._told:
            return False
        self._told[name] = one.version, one.counted_as, one.outcome
        if len(self._told) > self.window:
            self._told.popitem(last=False)
        self._metrics.add("perennial_feedback", task=one.counted_as, outcome=one.outcome)
        return True

    def tallies(self) -> list[Tally]:
        """By version, the newest first, and task."""
        counts = Counter(self._told.values())
        groups = sorted({(-version, task) for version, task, _ in counts})
        return [
            Tally(
                -before,
                task,
                counts[-before, task, "right"],
                counts[-before, task, "wrong"],
                counts[-before, task, "new"],
            )
            for before, task in groups
        ]
