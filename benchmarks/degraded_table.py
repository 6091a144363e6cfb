"""What `--degraded` found, as a table for people: mean and spread over seeds, in per cent."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.degraded import KINDS, UNTOUCHED
from benchmarks.markdown import markdown_table
from benchmarks.measures import spread
from benchmarks.stream import Row
from benchmarks.tables import grouped, label

COLUMNS = (UNTOUCHED, *KINDS)
DEGRADED_HEADINGS = ("stream", "method", "data set", *COLUMNS)


def summarise_degraded(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line a data set: accuracy in each kind, and the share that came to its domain."""
    lines = []
    for of in grouped([row for row in rows if row.degraded]):
        for name in sorted({marks["dataset"] for row in of for marks in row.degraded or ()}):
            cells = (_cell(of, name, kind) for kind in COLUMNS)
            lines.append((of[0].stream, label(of[0]), name, *cells))
    return lines


def degraded_markdown(rows: Sequence[Row]) -> str:
    """The same as a Markdown table under a sentence; "" where no row was run with it."""
    lines = summarise_degraded(rows)
    if not lines:
        return ""
    said = "Test images made worse; in brackets the share that came to the domain of its task."
    return "\n\n".join((said, markdown_table(DEGRADED_HEADINGS, lines)))


def _cell(rows: Sequence[Row], name: str, kind: str) -> str:
    of = [
        marks
        for row in rows
        for marks in row.degraded or ()
        if (marks["dataset"], marks["kind"]) == (name, kind)
    ]
    if not of:
        return "–"
    mean, deviation = spread([100 * marks["accuracy"] for marks in of])
    routed, _ = spread([100 * marks["routed"] for marks in of])
    return f"{mean:.2f} ± {deviation:.2f} ({routed:.1f})"
