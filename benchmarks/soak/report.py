"""What `perennial bench soak` prints."""

from __future__ import annotations

from statistics import median

from benchmarks.markdown import markdown_table
from benchmarks.soak.run import Soak

HEADINGS = ("of", "first", "last", "change an hour", "standard error")


def markdown(result: Soak) -> str:
    """A line for each trend, and what was asked."""
    lines = [
        (name, *(f"{value:.1f}" for value in (one.first, one.last, one.slope, one.error)))
        for name, one in result.trends().items()
    ]
    looks = result.looks
    told = (
        f"{looks[-1].at:.0f} s, {sum(one.asked for one in looks)} inputs answered, "
        f"{sum(one.lost for one in looks)} requests lost, {looks[-1].version} versions; p99 of a "
        f"window {median(one.p99 for one in result.settled):.0f} ms in the median. The first "
        f"{len(looks) - len(result.settled)} of {len(looks)} windows are left out of the trends."
    )
    return f"{markdown_table(HEADINGS, lines)}\n\n{told}"
