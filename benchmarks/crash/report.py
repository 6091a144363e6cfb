"""What a run of kills showed, as a table with each promise beside it."""

from __future__ import annotations

from benchmarks.crash.run import CrashResult
from benchmarks.markdown import markdown_table
from benchmarks.verdict import Verdict

Line = tuple[str, str, str]
HEADINGS = ("", "promised", "measured")


def markdown(result: CrashResult) -> str:
    """The table, and the faults below it."""
    kills = ", ".join(f"{count} {role}" for role, count in sorted(result.kills.items()))
    lines: list[Line] = [
        ("kills (SIGKILL)", "", f"{sum(result.kills.values())}: {kills}"),
        ("seconds", "", f"{result.seconds:.0f}"),
        ("posts not acknowledged, each sent again", "", f"{result.refused}"),
        ("posts sent again though acknowledged", "", f"{result.repeated}"),
        *verdict_lines(result.verdict),
        ("classifications answered / not", "", f"{result.answers} / {result.unanswered}"),
        ("answers that name a version not committed", "0", f"{result.unpublished}"),
        ("answers older than live at their server's start", "0", f"{result.stale}"),
        ("orphans of killed servers that stayed", "0", f"{result.orphans}"),
    ]
    return "\n".join([markdown_table(HEADINGS, lines), *result.verdict.faults])


def verdict_lines(verdict: Verdict) -> list[Line]:
    """What the store says, line by line."""
    return [
        ("batches acknowledged", "", f"{verdict.acknowledged}"),
        ("of them lost", "0", f"{verdict.lost}"),
        ("of them not learnt when time was up", "0", f"{verdict.waiting}"),
        ("batches learnt twice", "0", f"{verdict.learnt_twice}"),
        ("batches learnt that nobody sent", "0", f"{verdict.unasked}"),
        ("tasks with too many or too few examples", "0", f"{verdict.miscounted}"),
        ("versions", "", f"{verdict.versions}"),
        ("numbers missing in the log", "0", f"{verdict.gaps}"),
        ("versions made on another than the live one", "0", f"{verdict.forks}"),
        ("faults that `store check` finds", "0", f"{len(verdict.faults)}"),
    ]
