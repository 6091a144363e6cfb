"""The swap benchmark's result for people, with each promise beside what happened."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.json_file import write_json
from benchmarks.swap import SwapResult, Trace
from benchmarks.swap_plot import draw


def report(result: SwapResult, trace: Trace, json_path: Path | None, plot: Path | None) -> None:
    """Print the table; write JSON and draw the picture where asked."""
    if plot is not None:
        draw(trace, plot)
    for name, promised, measured in lines(result):
        click.echo(f"{name:<52} {promised:>10} {measured:>14}")
    for failure in result.failures:
        click.echo(f"  failure: {failure}")
    write_json(json_path, result.as_json() | {"trace": asdict(trace)})


def lines(result: SwapResult) -> list[tuple[str, str, str]]:
    """What, what was promised, what was measured."""
    recovered = result.recovered_after
    return [
        ("what", "promised", "measured"),
        ("versions published / of them rollbacks", "", _counts(result)),
        ("requests", "", f"{result.requests}"),
        ("failed requests", "0", f"{result.failed}"),
        ("p50 quiet / during swaps, ms", "", _pair(result.p50_before, result.p50_during)),
        ("p99 quiet / during swaps, ms", "", _pair(result.p99_before, result.p99_during)),
        ("p99 during / p99 quiet", "≤ 1.3", f"{result.p99_ratio:.2f}"),
        ("answers that name a version not yet committed", "0", f"{result.unpublished_answers}"),
        ("answers begun after their version was replaced", "", f"{result.late_answers}"),
        (
            "slowest replica current after, s",
            "≤ 1",
            f"{result.slowest_replica_current_after:.3f}",
        ),
        ("replicas that answered", f"{result.replicas}", f"{result.replicas_seen}"),
        (
            "killed replica's successor answers after, s",
            "",
            "never" if recovered is None else f"{recovered:.1f}",
        ),
        ("requests failed by the kill (in flight there)", "", f"{result.failed_after_kill}"),
        (
            "its first version / newest then",
            "equal",
            f"{result.first_version_of_new_replica} / {result.newest_at_its_start}",
        ),
        ("its answers with an older version", "0", f"{result.older_answers_of_new_replica}"),
    ]


def _counts(result: SwapResult) -> str:
    return f"{result.publications} / {result.rollbacks}"


def _pair(before: float, during: float) -> str:
    return f"{1000 * before:.1f} / {1000 * during:.1f}"
