"""What `perennial bench cold-start` prints."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.cold_start.run import ColdStartResult, Start
from benchmarks.markdown import markdown_table
from benchmarks.measures import middle

HEADINGS = (
    "server",
    "ready after, s",
    "first answer after, s",
    "CPU until then, s",
    "resident, MB",
)
_BEYOND = "{}, less the empty one"


def markdown(result: ColdStartResult) -> str:
    """Medians of the starts; of Ray's also what is left when Ray's own share is taken off."""
    lines = []
    for name in result.starts:
        lines.append((name, *(_shown(result, name, member) for member in MEMBERS)))
        if name.startswith("ray"):
            beyond = [result.beyond_ray(name, member) for member in MEMBERS]
            lines.append((_BEYOND.format(name), *("" if b is None else f"{b:.2f}" for b in beyond)))
    rounds = max(len(starts) for starts in result.starts.values())
    return f"{markdown_table(HEADINGS, lines)}\n\n{rounds} starts of each, in turn."


MEMBERS: tuple[Callable[[Start], float], ...] = (
    lambda start: start.ready,
    lambda start: start.answered,
    lambda start: start.cpu,
    lambda start: start.megabytes,
)


def _shown(result: ColdStartResult, name: str, member: Callable[[Start], float]) -> str:
    return middle([member(start) for start in result.starts[name]])
