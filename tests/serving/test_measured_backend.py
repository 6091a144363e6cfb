"""Failures of a store's place, counted."""

from __future__ import annotations

import pytest

from prompt_store import MemoryBackend, NotFound, Store, Unavailable, check_backend
from serving.measured_backend import MeasuredBackend
from serving.metrics import PrometheusMetrics
from tests.prompt_store.faults import SilentBackend


def test_it_is_a_backend_whose_answers_are_no_failures() -> None:
    metrics = PrometheusMetrics()
    check_backend(MeasuredBackend(MemoryBackend(), metrics))
    assert "perennial_store_errors_total{" not in metrics.exposition().decode()


def test_failures_are_counted_by_operation_and_passed_on() -> None:
    metrics = PrometheusMetrics()
    place = SilentBackend(MemoryBackend())
    store = Store.on(MeasuredBackend(place, metrics))
    place.silent = frozenset({"read", "list"})
    for _ in range(2):
        with pytest.raises(Unavailable):
            store.manifest(1)
    with pytest.raises(Unavailable):
        store.intake.pending()
    place.silent = frozenset()
    with pytest.raises(NotFound):
        store.manifest(1)
    measured = metrics.exposition().decode()
    assert 'perennial_store_errors_total{operation="read"} 2.0' in measured
    assert 'perennial_store_errors_total{operation="list"} 1.0' in measured
