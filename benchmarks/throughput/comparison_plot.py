"""`bench load --peers` as a picture: requests a second, and the CPU time that each takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.drawing import COLOURS, LEFT, bars, name_bars, panels, save
from benchmarks.measures import spread
from benchmarks.throughput.comparison import Comparison, Loaded, Turn


def draw(comparison: Comparison, path: Path) -> None:
    """Medians, ± over rounds."""
    servers = comparison.servers
    figure, (left, right) = panels(2, (8.5, 1.1 + 0.32 * len(servers)), sharey=True)
    colours = COLOURS[: len(servers)]
    bars(left, [_middle(one, lambda turn: turn.requests) for one in servers], colours, digits=0)
    bars(right, [_middle(one, lambda turn: turn.cpu) for one in servers], colours)
    left.set_title("requests a second", **LEFT)
    right.set_title("CPU ms a request", **LEFT)
    name_bars(left, [one.name for one in servers])
    save(figure, path)


def _middle(one: Loaded, of: Callable[[Turn], float]) -> tuple[float, float]:
    return one.median(of), spread([of(turn) for turn in one.turns])[1]
