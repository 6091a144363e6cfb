"""Rows of `bench stream` as pictures: accuracy over time, the accuracy matrix, final bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.drawing import COLOURS, FAINT, INK, LEFT, bars, name_bars, panels, save
from benchmarks.measures import Matrix, spread
from benchmarks.stream import Row
from benchmarks.tables import grouped, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("accuracy", "matrix", "final")
"""Pictures a stream: accuracy over tasks, the matrix of one run, final and forgetting."""
PREFERRED = "auto"
"""Whose accuracy matrix is drawn where it was run; else that of the last row."""


def draw_all(
    rows: Sequence[Row], folder: Path, prefix: str = "", kinds: Sequence[str] = KINDS
) -> list[Path]:
    """Draw up to three pictures a stream into `folder`. Needs matplotlib (extra `dev`)."""
    written = []
    for stream in dict.fromkeys(row.stream for row in rows):
        of = [row for row in rows if row.stream == stream]
        over_time = any(row.accuracy_matrix for row in of)
        for kind in kinds:
            if over_time or kind == "final":
                written.append(folder / f"{prefix}{stream}-{kind}.png")
                save(_draw(kind, stream, of), written[-1])
    return written


def _draw(kind: str, stream: str, rows: Sequence[Row]) -> Figure:
    if kind == "final":
        return _bars(stream, rows)
    return _over_time(stream, rows) if kind == "accuracy" else _heat(_chosen(rows))


def accuracy_over_tasks(row: Row) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(T,): after each task, the mean accuracy without task id over the tasks seen so far."""
    return np.asarray(np.nanmean(_matrix(row), axis=0), np.float64)


def _over_time(stream: str, rows: Sequence[Row]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = panels(1, (7.5, 3.8))
    tasks = max(len(row.accuracy_matrix) for row in rows)
    for colour, of in _coloured(rows):
        if not of[0].accuracy_matrix:
            mean, _ = spread([100 * row.final_accuracy for row in of])
            axes.axhline(mean, color=colour, linewidth=1.2, linestyle="--", label=label(of[0]))
            continue
        lines = 100 * np.stack([accuracy_over_tasks(row) for row in of])
        mean, steps = lines.mean(axis=0), np.arange(1, lines.shape[1] + 1)
        axes.plot(steps, mean, color=colour, linewidth=1.6, marker="o", ms=3, label=label(of[0]))
        if len(lines) > 1:
            wide = lines.std(axis=0, ddof=1)
            axes.fill_between(steps, mean - wide, mean + wide, color=colour, alpha=0.15, lw=0)
    axes.set_xlim(1 - 0.1, tasks + 0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("tasks learnt")
    axes.set_ylabel("accuracy, no task named, %")
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_title(f"{stream}: mean over the tasks seen so far{_seeds(rows)}", **LEFT)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _heat(row: Row) -> Figure:
    tasks, matrix = len(row.tasks), 100 * _matrix(row)
    side = 2.2 + 0.42 * tasks
    figure, (axes,) = panels(1, (side + 1.2, side))
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=125, aspect="auto")
    for i, j in np.argwhere(~np.isnan(matrix)).tolist():
        colour = "white" if matrix[i, j] > 65 else INK
        axes.text(j, i, f"{matrix[i, j]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_yticks(range(tasks), row.tasks, fontsize=8)
    axes.set_xticks(range(tasks), row.tasks, fontsize=8, rotation=45, ha="right")
    axes.tick_params(length=0)
    axes.set_xlabel("after learning")
    axes.set_ylabel("accuracy on, %")
    axes.spines[:].set_visible(False)
    axes.set_title(f"{row.stream}: {label(row)}, seed {row.seed}", **LEFT)
    return figure


def _bars(stream: str, rows: Sequence[Row]) -> Figure:
    groups = list(_coloured(rows))
    figure, both = panels(2, (8.5, 1.1 + 0.32 * len(groups)), sharey=True)
    measures = (
        ("final_accuracy", "final accuracy, no task named, %"),
        ("forgetting", "forgetting"),
    )
    for axes, (measure, title) in zip(both, measures, strict=True):
        means = [_mean([getattr(row, measure) for row in of]) for _, of in groups]
        bars(axes, means, [colour for colour, _ in groups])
        axes.set_xlabel(title if title.endswith("%") else f"{title}, points")
    name_bars(both[0], [label(of[0]) for _, of in groups])
    both[0].set_title(f"{stream}{_seeds(rows)}", **LEFT)
    return figure


def _mean(fractions: Sequence[float | None]) -> tuple[float, float] | None:
    """And its spread, in per cent, of what was measured."""
    values = [100 * value for value in fractions if value is not None]
    return spread(values) if values else None


def _chosen(rows: Sequence[Row]) -> Row:
    able = [row for row in rows if row.accuracy_matrix]
    return next((row for row in able if row.method == PREFERRED), able[-1])


def _coloured(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(COLOURS[i % len(COLOURS)], of) for i, of in enumerate(grouped(rows))]


def _seeds(rows: Sequence[Row]) -> str:
    counts = {len(of) for of in grouped(rows)}
    said = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    return f", ± over {said} seeds" if max(counts) > 1 else ""


def _matrix(row: Row) -> Matrix:
    return np.array(row.accuracy_matrix, dtype=np.float64)
