"""What `perennial bench load --peers` prints."""

from __future__ import annotations

from benchmarks.markdown import markdown_table
from benchmarks.measures import middle
from benchmarks.throughput.comparison import Comparison, Loaded

HEADINGS = (
    "server",
    "requests/s",
    "ours / its",
    "p50 ms",
    "p99 ms",
    "CPU ms a request",
    "accuracy %",
    "failed",
)


def markdown(comparison: Comparison) -> str:
    """A line for each server: medians over rounds, ± their spread."""
    lines = [_line(comparison, one) for one in comparison.servers]
    rounds = len(comparison.servers[0].turns)
    told = f"{rounds} rounds; accuracy on {comparison.examined} test texts."
    absent = [f"Left out: {name}. {why}" for name, why in comparison.left_out.items()]
    return "\n\n".join((markdown_table(HEADINGS, lines), told, *absent))


def _line(comparison: Comparison, one: Loaded) -> tuple[str, ...]:
    return (
        one.name,
        middle([turn.requests for turn in one.turns], 0),
        middle(comparison.ratios(one)),
        f"{one.median(lambda turn: turn.p50):.0f}",
        f"{one.median(lambda turn: turn.p99):.0f}",
        f"{one.median(lambda turn: turn.cpu):.2f}",
        f"{100 * one.accuracy:.1f}",
        str(sum(turn.failed for turn in one.turns)),
    )
