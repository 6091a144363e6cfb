"""The swap benchmark as a picture: every request a dot, every publication a line."""

from __future__ import annotations

from pathlib import Path

from benchmarks.drawing import COLOURS, LEFT, panels, save
from benchmarks.swap import Trace

SIZE_INCHES = (9.0, 3.2)


def draw(trace: Trace, path: Path) -> None:
    """Latency over time; two colours take turns with the version that answers name."""
    origin, end = _span(trace)
    order = {p.version: i for i, p in enumerate(trace.publications)}
    figure, (axes,) = panels(1, SIZE_INCHES)
    for publication in trace.publications:
        if origin <= publication.committed <= end:
            axes.axvline(publication.committed - origin, color="#999999", linewidth=0.6)
    axes.scatter(
        [a.started - origin for a in trace.answers],
        [1000 * a.seconds for a in trace.answers],
        c=[COLOURS[order.get(a.version or 0, 0) % 2] for a in trace.answers],
        s=7,
        linewidths=0,
    )
    axes.set_xlabel("seconds")
    axes.set_ylabel("answer after, ms")
    axes.set_ylim(bottom=0)
    axes.set_title(_title(trace), **LEFT)
    save(figure, path)


def _span(trace: Trace) -> tuple[float, float]:
    """From the first request to the last answer, Unix seconds."""
    return min(a.started for a in trace.answers), max(a.ended for a in trace.answers)


def _title(trace: Trace) -> str:
    origin, end = _span(trace)
    failed = sum(answer.failure is not None for answer in trace.answers)
    swaps = sum(origin <= p.committed <= end for p in trace.publications)
    return (
        f"{len(trace.answers)} requests (dots, coloured by version), "
        f"{swaps} versions published (lines), {failed} failed"
    )
