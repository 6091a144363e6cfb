"""What the learner's events measure."""

from __future__ import annotations

from learner.events import Event
from serving.learner_meter import LearnerMeter
from serving.metrics import PrometheusMetrics


def _measured(*events: Event) -> str:
    metrics = PrometheusMetrics()
    meter = LearnerMeter(metrics)
    for event in events:
        meter.observe(event)
    return metrics.exposition().decode()


def test_time_counts_for_the_phase_it_was_spent_in_and_rest_for_none() -> None:
    measured = _measured(
        Event(kind="progress", phase="refreshing", at=100),
        Event(kind="refreshed", version=1, at=102),
        Event(kind="progress", phase="training", at=103),
        Event(kind="progress", phase="training", at=107),
        Event(kind="progress", phase="evaluating", at=108),
        Event(kind="idle", at=110),
        Event(kind="progress", phase="refreshing", at=500),
        Event(kind="idle", at=501),
    )
    assert 'perennial_learner_seconds_total{phase="refreshing"} 4.0' in measured
    assert 'perennial_learner_seconds_total{phase="training"} 5.0' in measured
    assert 'perennial_learner_seconds_total{phase="evaluating"} 2.0' in measured
    assert 'perennial_learner_seconds_total{phase="idle"}' not in measured


def test_a_learner_that_fails_spends_no_time_and_a_batch_that_fails_does() -> None:
    measured = _measured(
        Event(kind="progress", phase="training", at=100),
        Event(kind="failed", batches=("a",), at=103),
        Event(kind="failed", message="its process ended with -9", at=104),
        Event(kind="progress", phase="refreshing", at=500),
    )
    assert 'perennial_learner_seconds_total{phase="training"} 4.0' in measured
    assert 'perennial_learner_failures_total{of="batch"} 1.0' in measured
    assert 'perennial_learner_failures_total{of="learner"} 1.0' in measured


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    measured = _measured(
        Event(kind="progress", phase="training", at=100),
        Event(kind="progress", phase="training", at=90),
        Event(kind="idle", at=91),
    )
    assert 'perennial_learner_seconds_total{phase="training"} 1.0' in measured
