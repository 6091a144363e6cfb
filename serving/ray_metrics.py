"""The same measurements through Ray: exported by each node's agent, beside Serve's own."""

from __future__ import annotations

from ray.serve import metrics as ray_metrics

from serving.metrics import METRICS


class RayMetrics:
    """`Metrics` over `ray.serve.metrics`; only to be made inside a replica.

    Ray appends `_total` to counters and puts `ray_` in front of every name.
    """

    def __init__(self) -> None:
        self._counters = {
            name: ray_metrics.Counter(name, metric.help, metric.labels)
            for name, metric in METRICS.items()
            if metric.kind == "counter"
        }
        self._gauges = {
            name: ray_metrics.Gauge(name, metric.help, metric.labels)
            for name, metric in METRICS.items()
            if metric.kind == "gauge"
        }
        self._histograms = {
            name: ray_metrics.Histogram(name, metric.help, list(metric.buckets), metric.labels)
            for name, metric in METRICS.items()
            if metric.kind == "histogram"
        }

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Adds to a counter."""
        self._counters[name].inc(amount, labels)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Sets a gauge."""
        self._gauges[name].set(value, labels)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Adds one observation to a histogram."""
        self._histograms[name].observe(value, labels)
