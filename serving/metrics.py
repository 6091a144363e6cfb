"""What is measured, once, for whichever library exports it.

`METRICS` is the table of names, with units; docs/metrics.md prints it. Names are only ever added.
`prometheus-client` exports them in the local engine; another exporter implements the three methods
of `Metrics` over the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)  # seconds
_LAGS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True)
class Metric:
    """One measured quantity. A counter is exported with `_total` added to its name.

    shared: every replica measures the same thing, so that sums over replicas mean nothing.
    """

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    shared: bool = False


METRICS: Mapping[str, Metric] = {
    "perennial_requests": Metric(
        "counter", "Requests answered, by route and status", ("route", "status")
    ),
    "perennial_request_seconds": Metric(
        "histogram",
        "Time from the start of a request to that of its answer",
        ("route",),
        _SECONDS,
    ),
    "perennial_inputs": Metric("counter", "Inputs classified"),
    "perennial_examples": Metric("counter", "Labelled examples accepted"),
    "perennial_feedback": Metric(
        "counter",
        "Predictions whose true class was told, by task and outcome (right, wrong, new)",
        ("task", "outcome"),
    ),
    "perennial_prequential_accuracy": Metric(
        "gauge",
        "Of the task's newest batch: how what was live answered it just before it was learnt",
        ("task",),
        shared=True,
    ),
    "perennial_batch_size": Metric("histogram", "Inputs in one forward pass", (), _SIZES),
    "perennial_encode_seconds": Metric("histogram", "Duration of one forward pass", (), _SECONDS),
    "perennial_queue_depth": Metric("gauge", "Inputs waiting for a forward pass"),
    "perennial_refusals": Metric("counter", "Requests refused because the queue was full"),
    "perennial_version": Metric("gauge", "Version that unpinned requests get here"),
    "perennial_ready": Metric("gauge", "1 when ready, 0 when not"),
    "perennial_swaps": Metric("counter", "Swaps to another version"),
    "perennial_swap_seconds": Metric(
        "histogram", "Time to load, validate and warm a version before it serves", (), _SECONDS
    ),
    "perennial_swap_failures": Metric("counter", "Versions that could not be loaded"),
    "perennial_swap_lag_seconds": Metric(
        "histogram",
        "Time from the commit of a version to its being served here; not of the first one",
        (),
        _LAGS,
    ),
    "perennial_up_to_date_timestamp_seconds": Metric(
        "gauge",
        "Unix time at which the newest live version was last known to be served here; "
        "`time()` minus it is the staleness",
    ),
    "perennial_store_errors": Metric(
        "counter",
        "Calls that the store's place failed, by operation (create, read, exists, list, delete)",
        ("operation",),
    ),
    "perennial_pending_batches": Metric(
        "gauge", "Accepted batches that are not settled", shared=True
    ),
    "perennial_learner_phase": Metric(
        "gauge", "1 for the learner's present phase", ("phase",), shared=True
    ),
    "perennial_learner_seconds": Metric(
        "counter", "Time the learner has spent in each phase but idle", ("phase",), shared=True
    ),
    "perennial_learner_failures": Metric(
        "counter",
        "Failures of learning: of a batch that is given up, or of the learner, which tries again",
        ("of",),
        shared=True,
    ),
    "perennial_gate_decisions": Metric(
        "counter",
        "Trained prompts by what became of them: accepted, refused, or failed in training",
        ("outcome",),
        shared=True,
    ),
    "perennial_canary_percent": Metric(
        "gauge", "Share of unpinned requests that a canary gets; 0 without one", shared=True
    ),
    "perennial_canary_requests": Metric(
        "counter", "Unpinned requests during a canary, by who answered (canary, live)", ("by",)
    ),
    "perennial_canary_seconds": Metric(
        "histogram",
        "During a canary: time from the queue to the answer of requests of one input",
        ("by",),
        _SECONDS,
    ),
    "perennial_canary_compared": Metric(
        "counter",
        "Inputs that the canary and live both answered: the same class first, or different ones",
        ("answers",),
    ),
    "perennial_canary_feedback": Metric(
        "counter",
        "Of these, those whose true class was told: who was right (both, canary, live, neither)",
        ("right",),
    ),
    "perennial_canary_errors": Metric(
        "counter", "Requests that the canary failed, so that live answered them"
    ),
    "perennial_canary_stops": Metric(
        "counter",
        "Canaries that this replica ended by itself, by reason (feedback, latency, errors)",
        ("reason",),
    ),
    "perennial_event_subscribers": Metric("gauge", "Open event streams"),
}


class Metrics(Protocol):
    """Where measurements go. `name` is a key of `METRICS`; labels are exactly those of its row."""

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Adds to a counter."""

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Sets a gauge."""

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Adds one observation to a histogram."""


class PrometheusMetrics:
    """Measurements held by prometheus-client, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(name, metric.help, metric.labels, registry=self._registry)
            for name, metric in METRICS.items()
            if metric.kind == "counter"
        }
        self._gauges = {
            name: Gauge(name, metric.help, metric.labels, registry=self._registry)
            for name, metric in METRICS.items()
            if metric.kind == "gauge"
        }
        self._histograms = {
            name: Histogram(
                name, metric.help, metric.labels, buckets=metric.buckets, registry=self._registry
            )
            for name, metric in METRICS.items()
            if metric.kind == "histogram"
        }

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def exposition(self) -> bytes:
        """Everything measured so far, in Prometheus' text format."""
        return generate_latest(self._registry)
