"""What races showed, as a table: a column a race."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.crash.report import verdict_lines
from benchmarks.markdown import markdown_table
from benchmarks.race.run import RaceResult


def markdown(results: Sequence[RaceResult]) -> str:
    """The table, and the faults below it."""
    headings = ["", "promised", *(f"{one.learners} learners, {one.place}" for one in results)]
    lines = [
        ["seconds", "", *(f"{one.seconds:.0f}" for one in results)],
        ["takeovers (epochs)", "", *(f"{one.epochs}" for one in results)],
        ["versions by learner", "", *(_commits(one) for one in results)],
        ["promotions between them", "", *(f"{one.promotions}" for one in results)],
        ["learners that ended by an error", "0", *(f"{one.failed}" for one in results)],
    ]
    accounts = [verdict_lines(one.verdict) for one in results]
    lines += [
        [row[0][0], row[0][1], *(measured for _, _, measured in row)]
        for row in zip(*accounts, strict=True)
    ]
    faults = [fault for one in results for fault in one.verdict.faults]
    return "\n".join([markdown_table(headings, lines), *faults])


def _commits(result: RaceResult) -> str:
    return " + ".join(map(str, result.commits.values()))
