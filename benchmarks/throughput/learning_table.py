"""What `perennial bench load --learning` prints."""

from __future__ import annotations

from benchmarks.markdown import markdown_table
from benchmarks.measures import spread
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
    deviation = spread([one.ratio for one in result.turns])[1]
    told = (
        f"p99 while learning / p99 quiet: {result.ratio:.2f} ± {deviation:.2f} in the median; "
        f"{result.rate:.0f} requests/s on {result.cores} cores."
    )
    return f"{markdown_table(HEADINGS, lines)}\n\n{told}"
