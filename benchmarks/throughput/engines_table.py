"""What `perennial bench load --engines` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.markdown import markdown_table
from benchmarks.measures import middle
from benchmarks.throughput.comparison import Turn
from benchmarks.throughput.engines import RAY, EnginesResult, Visit

HEADINGS = ("engine", "clients", "requests/s", "p50 ms", "p99 ms", "CPU ms a request", "failed")
ASKED = ("", "asked", "measured")


def markdown(result: EnginesResult) -> str:
    """A line for each engine and number of clients; then each promise beside what was measured."""
    kinds = ((result.clients, _many), (1, _single))
    lines = [
        _line(name, clients, visits, of)
        for clients, of in kinds
        for name, visits in result.visits.items()
    ]
    told = (
        f"{len(result.visits[RAY])} rounds. CPU ms a request are of all processes of a server, "
        "without what they take at rest."
    )
    promises = markdown_table(ASKED, _promises(result))
    return "\n\n".join((markdown_table(HEADINGS, lines), promises, told))


def _many(visit: Visit) -> Turn:
    return visit.many


def _single(visit: Visit) -> Turn:
    return visit.single


def _line(
    name: str, clients: int, visits: Sequence[Visit], of: Callable[[Visit], Turn]
) -> tuple[str, ...]:
    turns = [of(visit) for visit in visits]
    return (
        *(name, str(clients), middle([turn.requests for turn in turns], 0)),
        middle([turn.p50 for turn in turns], 1),
        middle([turn.p99 for turn in turns], 1),
        middle([visit.cpu(of(visit)) for visit in visits]),
        str(sum(turn.failed for turn in turns)),
    )


def _promises(result: EnginesResult) -> list[tuple[str, str, str]]:
    many, single = middle(result.ratios(_many)), middle(result.ratios(_single))
    return [
        (f"requests/s of {result.clients} clients, ray / local", "≥ 0.6", many),
        ("requests/s of one client, ray / local", "", single),
        ("CPU ms more that its request costs on ray", "≤ 2", middle(result.overheads())),
        *((f"{name} at rest, % of a core", "", _rest(of)) for name, of in result.visits.items()),
    ]


def _rest(visits: Sequence[Visit]) -> str:
    return middle([visit.rest / 10 for visit in visits], 1)
