"""`bench load` as a picture: latency by the rate of arrival, and texts a second beside the bare."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.drawing import COLOURS, FAINT, LEFT, bars, name_bars, panels, save
from benchmarks.measures import spread
from benchmarks.throughput.run import BULK, LoadResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (9.0, 3.2)


def draw(result: LoadResult, path: Path) -> None:
    """Percentiles of the open loop; medians of the closed one, ± over rounds."""
    figure, (left, right) = panels(2, SIZE_INCHES)
    _latency(left, result)
    _throughput(right, result)
    save(figure, path)


def _latency(axes: Axes, result: LoadResult) -> None:
    from matplotlib.ticker import LogLocator

    asked = [rate.asked for rate in result.rates]
    lines = {
        "p99.9": [rate.p999 for rate in result.rates],
        "p99": [rate.p99 for rate in result.rates],
        "p50": [rate.p50 for rate in result.rates],
    }
    for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
        axes.plot(asked, values, color=colour, marker="o", ms=3, linewidth=1.6, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xticks(asked, [f"{rate.asked:.0f}\n{rate.share:.0%}" for rate in result.rates])
    axes.set_xlabel("requests arriving a second, and their share of capacity")
    axes.set_title("latency, ms", **LEFT)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _throughput(axes: Axes, result: LoadResult) -> None:
    shown = {
        "bare loop": [one.bare.texts for one in result.rounds],
        "beside busy cores": [one.beside.texts for one in result.rounds],
        "single texts": [one.single.texts for one in result.rounds],
        f"{BULK} a request": [one.bulk.texts for one in result.rounds],
    }
    middles = [(median(texts), spread(texts)[1]) for texts in shown.values()]
    bars(axes, middles, COLOURS[: len(shown)], digits=0)
    name_bars(axes, list(shown))
    axes.set_title("texts a second", **LEFT)
