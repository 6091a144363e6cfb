"""Rows as a Markdown table: mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.markdown import markdown_table
from benchmarks.measures import spread
from benchmarks.peers.row import PeerRow, Percentiles

HEADINGS = (
    "stream",
    "system",
    "seeds",
    "final %",
    "incremental %",
    "forgetting",
    "CPU s, a task",
    "CPU s, last task",
    "ms quiet p50 / p99",
    "ms learning p50 / p99 / worst",
    "peak MB",
)
MEGABYTE = 1e6


def markdown(rows: Sequence[PeerRow]) -> str:
    """One line for each stream and system, in order of appearance."""
    groups: dict[tuple[str, str], list[PeerRow]] = {}
    for row in rows:
        groups.setdefault((row.stream, row.peer), []).append(row)
    lines = [_line(stream, peer, of) for (stream, peer), of in groups.items()]
    return markdown_table(HEADINGS, lines)


def _line(stream: str, peer: str, rows: Sequence[PeerRow]) -> tuple[str, ...]:
    return (
        stream,
        peer,
        str(len(rows)),
        _mean([100 * row.final_accuracy for row in rows], "{:.2f}"),
        _mean([100 * row.average_incremental_accuracy for row in rows], "{:.2f}"),
        _mean([100 * row.forgetting for row in rows], "{:.2f}"),
        _mean([sum(r.cpu_seconds_per_task) / len(r.cpu_seconds_per_task) for r in rows], "{:.1f}"),
        _mean([row.cpu_seconds_per_task[-1] for row in rows], "{:.1f}"),
        _latency(rows, lambda row: row.milliseconds_quiet, ("p50", "p99")),
        _latency(rows, lambda row: row.milliseconds_learning, ("p50", "p99", "worst")),
        _mean([row.peak_bytes / MEGABYTE for row in rows], "{:.0f}"),
    )


def _mean(values: list[float], form: str) -> str:
    mean, deviation = spread(values)
    return form.format(mean) + (f" ± {form.format(deviation)}" if len(values) > 1 else "")


def _latency(
    rows: Sequence[PeerRow],
    of: Callable[[PeerRow], Percentiles | None],
    names: tuple[str, ...],
) -> str:
    """Mean over seeds of each percentile; the worst of all for `worst`."""
    known = [measured for row in rows if (measured := of(row)) is not None]
    if not known:
        return "–"
    joined = {name: [measured[name] for measured in known] for name in names}
    return " / ".join(
        f"{max(values) if name == 'worst' else spread(values)[0]:.0f}"
        for name, values in joined.items()
    )
