"""The scale benchmark as a picture: latency and memory by the number of tasks."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from statistics import median

from benchmarks.drawing import COLOURS, FAINT, LEFT, panels, save
from benchmarks.scale.run import ScaleResult

SIZE_INCHES = (9.0, 3.2)


def draw(result: ScaleResult, path: Path) -> None:
    """p50 of single requests, and resident memory beside the version's weight. Needs matplotlib."""
    tasks = [rung.tasks for rung in result.rungs]
    times = {
        name: [median(one.p50 for one in rung.phases[kind]) for rung in result.rungs]
        for name, kind in (("no task named", "unnamed"), ("task named", "named"))
    }
    first = result.rungs[0]
    memory = {
        "resident in the server": [rung.megabytes for rung in result.rungs],
        "the smallest, and what versions weigh more": [
            first.megabytes + (sum(astuple(rung.weight)) - sum(astuple(first.weight))) / 1e6
            for rung in result.rungs
        ],
    }
    figure, both = panels(2, SIZE_INCHES)
    contents = ((times, "p50 of a single request, ms"), (memory, "MB"))
    for axes, (lines, title) in zip(both, contents, strict=True):
        for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
            axes.plot(tasks, values, color=colour, marker="o", ms=3, linewidth=1.6, label=name)
        axes.set_xscale("log")
        axes.set_xticks(tasks, [str(count) for count in tasks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("tasks")
        axes.set_title(title, **LEFT)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.legend(frameon=False, fontsize=8, loc="lower left")
    save(figure, path)
