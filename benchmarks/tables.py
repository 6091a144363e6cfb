"""Results as a table for people: mean and spread over seeds, in per cent."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from benchmarks.hindsight import OUTCOMES
from benchmarks.markdown import markdown_table
from benchmarks.measures import spread
from benchmarks.stream import Row

HEADINGS = (
    "stream",
    "method",
    "seeds",
    "final",
    "by data set",
    "incremental",
    "forgetting",
    "backward",
    "drift",
    "task given",
    "CPU s/task",
    "refused",
)

NOTHING = "–"
"""Stands where a method has no such measure: one that learns all at once forgets nothing."""


def summarise(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line for each stream, method and settings, in order of appearance."""
    return [_line(of) for of in grouped(rows)]


def grouped(rows: Sequence[Row]) -> list[list[Row]]:
    """The seeds of each stream, method and settings together, in order of appearance."""
    groups: dict[tuple[str, str, bytes], list[Row]] = {}
    for row in rows:
        settings = orjson.dumps(row.settings, option=orjson.OPT_SORT_KEYS)
        groups.setdefault((row.stream, row.method, settings), []).append(row)
    return list(groups.values())


def markdown(rows: Sequence[Row]) -> str:
    """The same as a Markdown table, and below it what hindsight says of the gate."""
    return "\n\n".join((markdown_table(HEADINGS, summarise(rows)), *caption(rows)))


def caption(rows: Sequence[Row]) -> list[str]:
    """A line for each method that was run with hindsight: the gate's decisions by test rows."""
    lines = []
    for of in grouped([row for row in rows if row.hindsight is not None]):
        counts = {name: sum((row.hindsight or {})[name] for row in of) for name in OUTCOMES}
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        lines.append(f"{of[0].stream}, {label(of[0])}: by the test rows the gate made {said}.")
    return lines


def label(row: Row) -> str:
    """The method, what `--set` changed of it, and whether there was but one task."""
    all_at_once = ("(all at once)",) if row.settings.get("tasks") == 1 else ()
    return " ".join((row.method, *row.settings.get("overrides", ()), *all_at_once))


def _line(rows: Sequence[Row]) -> tuple[str, ...]:
    seconds = [s for row in rows for s in row.cpu_seconds_per_task]
    return (
        rows[0].stream,
        label(rows[0]),
        str(len(rows)),
        _per_cent([row.final_accuracy for row in rows]),
        _per_cent([row.dataset_accuracy for row in rows]),
        _per_cent([row.average_incremental_accuracy for row in rows]),
        _per_cent([row.forgetting for row in rows]),
        _per_cent([row.backward_transfer for row in rows]),
        _per_cent([row.feature_drift for row in rows]),
        _per_cent([row.task_given_accuracy for row in rows]),
        "{:.1f} ± {:.1f}".format(*spread(seconds)) if seconds else NOTHING,
        f"{sum(row.candidates_refused for row in rows)}" if rows[0].versions else NOTHING,
    )


def _per_cent(values: Sequence[float | None]) -> str:
    """Mean ± standard deviation of what was measured."""
    measured = [100 * value for value in values if value is not None]
    if not measured:
        return NOTHING
    mean, deviation = spread(measured)
    return f"{mean:.2f} ± {deviation:.2f}"
