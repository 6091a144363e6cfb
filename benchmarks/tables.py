"""Results as a table for people: mean and spread over seeds, in per cent."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from benchmarks.measures import spread
from benchmarks.stream import Row

HEADINGS = (
    "stream",
    "method",
    "final",
    "by data set",
    "incremental",
    "forgetting",
    "backward",
    "task given",
    "CPU s/task",
    "refused",
)


def summarise(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line for each stream, method and settings, in order of appearance."""
    groups: dict[tuple[str, str, bytes], list[Row]] = {}
    for row in rows:
        settings = orjson.dumps(row.settings, option=orjson.OPT_SORT_KEYS)
        groups.setdefault((row.stream, row.method, settings), []).append(row)
    return [_line(stream, _named(method, of[0]), of) for (stream, method, _), of in groups.items()]


def markdown(rows: Sequence[Row]) -> str:
    """The same as a Markdown table."""
    lines = [HEADINGS, tuple("-" for _ in HEADINGS), *summarise(rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _named(method: str, row: Row) -> str:
    """The method and what `--set` changed of it."""
    return " ".join((method, *row.settings.get("overrides", ())))


def _line(stream: str, method: str, rows: Sequence[Row]) -> tuple[str, ...]:
    return (
        stream,
        method,
        _per_cent([row.final_accuracy for row in rows]),
        _per_cent([row.dataset_accuracy for row in rows]),
        _per_cent([row.average_incremental_accuracy for row in rows]),
        _per_cent([row.forgetting for row in rows]),
        _per_cent([row.backward_transfer for row in rows]),
        _per_cent([row.task_given_accuracy for row in rows]),
        "{:.1f} ± {:.1f}".format(*spread([s for row in rows for s in row.cpu_seconds_per_task])),
        f"{sum(row.candidates_refused for row in rows)}",
    )


def _per_cent(values: list[float]) -> str:
    mean, deviation = spread([100 * value for value in values])
    return f"{mean:.2f} ± {deviation:.2f}"
