"""The learner as its events measure it: its phase, the seconds spent in each, its failures."""

from __future__ import annotations

from learner.events import Event, Phase
from serving.metrics import Metrics

PHASES = ("idle", "refreshing", "training", "evaluating", "publishing")


class LearnerMeter:
    """Follows one learner. Used from one thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._phase: Phase | None = None
        self._since = 0.0

    def observe(self, event: Event) -> None:
        """Takes note of an event; times are the learner's own."""
        if event.kind == "failed":
            of = "batch" if event.batches else "learner"
            self._metrics.add("perennial_learner_failures", of=of)
        stopped = event.kind == "failed" and not event.batches
        if event.phase is not None or event.kind == "idle" or stopped:
            self._count(event)
        if event.phase is not None or event.kind == "idle":
            self._show(event.phase or "idle")

    def _count(self, event: Event) -> None:
        """Adds the time since the last event to the phase that has lasted until now."""
        seconds = event.at - self._since
        if self._phase is not None and seconds > 0:  # Ray's counters refuse 0
            self._metrics.add("perennial_learner_seconds", seconds, phase=self._phase)
        self._phase, self._since = event.phase, event.at

    def _show(self, phase: str) -> None:
        for name in PHASES:
            self._metrics.set("perennial_learner_phase", float(name == phase), phase=name)
