"""What `perennial bench load --learning` prints."""

from __future__ import annotations

from benchmarks.markdown import markdown_table
from benchmarks.measures import middle
from benchmarks.throughput.learning import Interference

HEADINGS = (
    "round",
    "p50 ms",
    "p99 ms",
    "learning: p50 ms",
    "learning: p99 ms",
    "p99 ratio",
    "lost",
    "learner, cores",
)


def markdown(result: Interference) -> str:
    """A line a round, and the median ratio."""
    lines = [
        (
            str(number),
            *(f"{value:.1f}" for value in (one.quiet.p50, one.quiet.p99)),
            *(f"{value:.1f}" for value in (one.learning.p50, one.learning.p99)),
            f"{one.ratio:.2f}",
            str(one.quiet.lost + one.learning.lost),
            f"{one.learning.busy:.2f}",
        )
        for number, one in enumerate(result.turns, start=1)
    ]
    ratios = middle([one.ratio for one in result.turns])
    told = (
        f"p99 while learning / p99 quiet: {ratios} in the median; {result.rate:.0f} requests/s on "
        f"{result.cores} cores."
    )
    return f"{markdown_table(HEADINGS, lines)}\n\n{told}"
