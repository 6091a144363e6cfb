"""The gate's report on a version, as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def gate_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """One line for the whole, then one for each verdict in it. Unknown members are left out."""
    yield f"gate: {_judged(report)}" if "accepted" in report else "gate:"
    for name, verdict in report.items():
        if isinstance(verdict, Mapping) and "accepted" in verdict:
            yield f"  {name}: {_judged(verdict)}"


def _judged(verdict: Mapping[str, Any]) -> str:
    """For instance `(no task named) refused, not better; accuracy: live 0.900, frozen 0.800`.

    Only what the verdict holds.
    """
    told = "accepted" if verdict["accepted"] else "refused"
    if verdict.get("protocol"):
        told = f"({verdict['protocol']}) {told}"
    if verdict.get("task"):
        told = f"task {verdict['task']}: {told}"
    if verdict.get("reason"):
        told += f", {verdict['reason']}"
    accuracies = _numbers(verdict.get("accuracy"))
    return f"{told}; accuracy: {accuracies}" if accuracies else told


def _numbers(scores: Any) -> str:
    if not isinstance(scores, Mapping):
        return ""
    return ", ".join(f"{name} {one:.3f}" for name, one in scores.items() if isinstance(one, float))
