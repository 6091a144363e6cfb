"""What `perennial bench overload` prints."""

from __future__ import annotations

from benchmarks.markdown import markdown_table
from benchmarks.measures import middle
from benchmarks.throughput.overload import USUAL, Overload, Phase

HEADINGS = (
    "round",
    "arriving",
    "requests/s",
    "answered/s",
    "refused",
    "failed",
    "p50 ms",
    "p99 ms",
    "p99 ratio",
    "recovery, s",
)


def markdown(result: Overload) -> str:
    """Two lines a round, and the median ratio."""
    lines = []
    for number, one in enumerate(result.turns, start=1):
        lines.append([str(number), f"{USUAL:.0%}", *_cells(one.usual), "", ""])
        told = [f"{one.ratio:.2f}", f"{one.recovery:.1f}"]
        lines.append(["", f"{result.factor:.0%}", *_cells(one.overload), *told])
    ratios = middle([one.ratio for one in result.turns])
    told_all = f"p99 under overload / p99 at {USUAL:.0%} of capacity: {ratios} in the median."
    return f"{markdown_table(HEADINGS, lines)}\n\n{told_all}"


def _cells(one: Phase) -> list[str]:
    counts = (f"{one.asked:.0f}", f"{one.answered:.0f}", str(one.refused), str(one.failed))
    return [*counts, f"{one.p50:.0f}", f"{one.p99:.0f}"]
