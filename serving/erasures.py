"""What became of a request to forget: what the store says, which no longer names what it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Literal

from prompt_store import Kind, Manifest, Store, made_at
from serving.problems import Problem

CLOCKS_DIFFER = timedelta(hours=1)
"""By so much, at most, a learner's clock may be behind that of the replica that took a request."""


@dataclass(frozen=True)
class Report:
    """One request and what it came to; without numbers until it is carried out.

    older_versions: ranges of kept numbers below `version`, which hold what they held;
    deletable_from: when retention may begin to drop them.
    """

    erasure: str
    status: Literal["forgetting", "forgotten"]
    version: int | None = None
    examples: int | None = None
    classes: int | None = None
    prompts_dropped: int | None = None
    not_found: int | None = None
    exact: bool | None = None
    older_versions: tuple[tuple[int, int], ...] = ()
    deletable_from: datetime | None = None


def report_on(store: Store, erasure: str, grace_seconds: float) -> Report:
    """Read the report. Raises Problem unknown-erasure.

    grace_seconds: of the retention that this server's learner does.
    """
    try:
        asked_at = made_at(erasure)
    except ValueError as error:
        raise _unknown(erasure) from error
    if store.erasures.is_pending(erasure):
        return Report(erasure, "forgetting")
    newest = store.log.kept(store.timeline().head)
    since = takewhile(lambda one: one.created_at > asked_at - CLOCKS_DIFFER, newest)
    manifest = next((one for one in since if _carries_out(one, erasure)), None)
    if manifest is None:
        raise _unknown(erasure)
    return _report(store, erasure, manifest, timedelta(seconds=grace_seconds))


def _carries_out(manifest: Manifest, erasure: str) -> bool:
    return manifest.kind is Kind.FORGET and manifest.metrics.get("erasure") == erasure


def _report(store: Store, erasure: str, manifest: Manifest, grace: timedelta) -> Report:
    def count(name: str) -> int | None:
        value = manifest.metrics.get(name)
        return None if value is None else int(value)

    exact = count("exact")
    return Report(
        erasure,
        "forgotten",
        manifest.version,
        count("examples"),
        count("classes"),
        count("prompts_dropped"),
        count("not_found"),
        None if exact is None else bool(exact),
        _ranges(store.log.numbers_from(manifest.version - 1)),
        manifest.created_at + grace,
    )


def _ranges(descending: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """The first and last numbers of every run, the lowest run first."""
    ranges: list[tuple[int, int]] = []
    for number in descending:
        if ranges and ranges[-1][0] == number + 1:
            ranges[-1] = (number, ranges[-1][1])
        else:
            ranges.append((number, number))
    return tuple(reversed(ranges))


def _unknown(erasure: str) -> Problem:
    return Problem(
        "unknown-erasure",
        f"there is no request to forget {erasure[:80]!r}, or the version that carried it out is "
        "no longer kept",
    )
