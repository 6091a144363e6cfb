"""What `perennial bench load` prints."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.markdown import markdown_table
from benchmarks.measures import middle
from benchmarks.throughput.pace import Pace
from benchmarks.throughput.run import BULK, LoadResult, Round

_PERCENTS = ("p50 ms", "p99 ms", "p99.9 ms")


def markdown(result: LoadResult) -> str:
    """Texts a second beside the bare loop, then latency by rate of arrival."""
    return f"{_throughput(result)}\n\n{_latency(result)}"


def _throughput(result: LoadResult) -> str:
    shown: dict[str, Callable[[Round], Pace]] = {
        f"bare {result.runtime}, {result.size} texts a pass": lambda one: one.bare,
        "the same beside busy cores": lambda one: one.beside,
        "single texts, served": lambda one: one.single,
        f"{BULK} texts a request, served": lambda one: one.bulk,
    }
    lines = []
    for name, member in shown.items():
        paces = [member(one) for one in result.rounds]
        texts, cpu = [pace.texts for pace in paces], median(pace.cpu for pace in paces)
        lines.append(
            (
                name,
                middle(texts, 0),
                f"{result.ratio(member):.3f}",
                f"{cpu:.2f}",
            )
        )
    failed = sum(one.failed for one in result.rounds)
    table = markdown_table(("", "texts/s", "of bare", "CPU ms a text"), lines)
    return f"{table}\n\nRounds: {len(result.rounds)}; {failed} requests failed or were refused."


def _latency(result: LoadResult) -> str:
    headings = ("arriving", "requests/s", "answered/s", "refused", "failed", *_PERCENTS)
    lines = [
        (
            f"{one.share:.0%}",
            *(f"{rate:.0f}" for rate in (one.asked, one.answered)),
            *(str(count) for count in (one.refused, one.failed)),
            *(f"{milliseconds:.1f}" for milliseconds in (one.p50, one.p99, one.p999)),
        )
        for one in result.rates
    ]
    return markdown_table(headings, lines)
