"""What `perennial bench scale` prints."""

from __future__ import annotations

from dataclasses import astuple
from statistics import median

from benchmarks.markdown import markdown_table
from benchmarks.measures import middle
from benchmarks.scale.replica import BATCH, SINGLES
from benchmarks.scale.run import Phase, Rung, ScaleResult
from benchmarks.turns import ratio

MEGA = 1e6
SIZE = "tasks × classes"
SERVED = (
    SIZE,
    *("p50, ms", "to the first") * 2,
    *(f"{BATCH} texts in a request, texts/s", f"{BATCH} requests of one task", "one task / mixed"),
)
PASSES = (
    SIZE,
    *("CPU, ms", "to the first") * 2,
    *(f"{BATCH} requests: mixed / one task", "bare pass: mixed / one"),
)
MEMORY = (
    *(SIZE, "resident, MB", "grown by", "of that bank", "heads", "novelty", "router"),
    "loaded in, s",
)


def markdown(result: ScaleResult) -> str:
    """Three tables: requests to servers, a replica's passes, memory beside what a version weighs.

    At most 1.05 is asked of every ratio.
    """
    rungs, first = result.rungs, result.rungs[0]
    failed = sum(rung.failed for rung in rungs)
    return "\n\n".join(
        (
            "Served. One text a request that names no task, then one that does; then many texts:",
            markdown_table(SERVED, [_served(rung, first) for rung in rungs]),
            "The same in a replica without HTTP, CPU time:",
            markdown_table(PASSES, [_passes(rung, first) for rung in rungs]),
            "Memory, and what of its growth is arrays of the version, MB:",
            markdown_table(MEMORY, [_memory(rung, first) for rung in rungs]),
            f"{result.runtime}, layout {result.layout}, {len(first.phases['one'])} rounds, "
            f"{failed} requests failed or were refused. Contents are synthetic: answers mean "
            "nothing, costs do.",
        )
    )


def _served(rung: Rung, first: Rung) -> tuple[str, ...]:
    one, mixed = _texts(rung.phases["one"]), _texts(rung.phases["mixed"])
    return (
        _size(rung),
        *_compared(_p50(rung.phases["unnamed"]), _p50(first.phases["unnamed"])),
        *_compared(_p50(rung.phases["named"]), _p50(first.phases["named"])),
        f"{median(_texts(rung.phases['whole'])):.0f}",
        f"{median(one):.0f}",
        f"{ratio(one, mixed):.3f}",
    )


def _passes(rung: Rung, first: Rung) -> tuple[str, ...]:
    own, other = rung.passes, first.passes
    singles = [
        _compared(
            [1000 * seconds / SINGLES for seconds in own[kind]],
            [1000 * seconds / SINGLES for seconds in other[kind]],
        )
        for kind in ("unnamed", "named")
    ]
    return (
        _size(rung),
        *singles[0],
        *singles[1],
        f"{ratio(own['mixed'], own['one']):.3f}",
        f"{ratio(own['bare_mixed'], own['bare_one']):.3f}",
    )


def _memory(rung: Rung, first: Rung) -> tuple[str, ...]:
    parts = zip(astuple(rung.weight), astuple(first.weight), strict=True)
    return (
        *(_size(rung), f"{rung.megabytes:.0f}", f"{rung.megabytes - first.megabytes:.0f}"),
        *(f"{(own - least) / MEGA:.1f}" for own, least in parts),
        f"{median(rung.loads):.2f}",
    )


def _compared(own: list[float], first: list[float]) -> tuple[str, str]:
    return middle(own), f"{ratio(own, first):.3f}"


def _p50(phases: list[Phase]) -> list[float]:
    return [one.p50 for one in phases]


def _texts(phases: list[Phase]) -> list[float]:
    return [one.texts for one in phases]


def _size(rung: Rung) -> str:
    return f"{rung.tasks} × {rung.classes // rung.tasks}"
