"""Rows of `bench stream` as pictures: accuracy over time, the accuracy matrix, final bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measures import Matrix, spread
from benchmarks.stream import Row
from benchmarks.tables import grouped, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (
    *("#2a6f97", "#e07a5f", "#3d9970", "#8e6fb5", "#c9a227"),
    *("#6b7280", "#c2528b", "#4aa8b5"),
)
INK = "#374151"
FAINT = "#e5e7eb"
KINDS = ("accuracy", "matrix", "final")
"""Pictures a stream: accuracy over tasks, the matrix of one run, final and forgetting."""
PREFERRED = "auto"
"""Whose accuracy matrix is drawn where it was run; else that of the last row."""


def draw_all(
    rows: Sequence[Row], folder: Path, prefix: str = "", kinds: Sequence[str] = KINDS
) -> list[Path]:
    """Draw up to three pictures a stream into `folder`. Needs matplotlib (extra `dev`)."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for stream in dict.fromkeys(row.stream for row in rows):
        of = [row for row in rows if row.stream == stream]
        over_time = any(row.accuracy_matrix for row in of)
        for kind in kinds:
            if over_time or kind == "final":
                written.append(folder / f"{prefix}{stream}-{kind}.png")
                _save(_draw(kind, stream, of), written[-1])
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

    figure, axes = _axes((7.5, 3.8))
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
    axes.set_title(f"{stream}: mean over the tasks seen so far{_seeds(rows)}", **_LEFT)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _heat(row: Row) -> Figure:
    tasks, matrix = len(row.tasks), 100 * _matrix(row)
    side = 2.2 + 0.42 * tasks
    figure, axes = _axes((side + 1.2, side))
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
    axes.set_title(f"{row.stream}: {label(row)}, seed {row.seed}", **_LEFT)
    return figure


def _bars(stream: str, rows: Sequence[Row]) -> Figure:
    import matplotlib.pyplot as plt

    groups = list(_coloured(rows))
    size = (8.5, 1.1 + 0.32 * len(groups))
    figure, both = plt.subplots(1, 2, figsize=size, layout="constrained", sharey=True)
    panels = (("final_accuracy", "final accuracy, no task named, %"), ("forgetting", "forgetting"))
    for axes, (measure, title) in zip(both, panels, strict=True):
        _panel(axes, groups, measure)
        axes.set_xlabel(title if title.endswith("%") else f"{title}, points")
    both[0].set_yticks(range(len(groups)), [label(of[0]) for _, of in groups], fontsize=8)
    both[0].invert_yaxis()
    both[0].set_title(f"{stream}{_seeds(rows)}", **_LEFT)
    return figure


def _panel(axes: Axes, groups: Sequence[tuple[str, list[Row]]], measure: str) -> None:
    ends = [0.0]
    for place, (colour, of) in enumerate(groups):
        values = [100 * v for row in of if (v := getattr(row, measure)) is not None]
        if not values:
            axes.text(0, place, " –", va="center", color=INK, fontsize=8)
            continue
        mean, wide = spread(values)
        axes.barh(place, mean, height=0.62, color=colour, xerr=wide or None, ecolor=INK)
        ends.append(max(mean, 0.0) + wide)
        axes.text(ends[-1], place, f"  {mean:.1f}", va="center", color=INK, fontsize=8)
    axes.set_xlim(right=1.15 * max(ends) or 1.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


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


_LEFT: dict[str, Any] = {"fontsize": 10, "loc": "left", "color": INK}


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=size, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=130, facecolor="white")
    plt.close(figure)
