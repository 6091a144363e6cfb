"""Which tasks share a domain: the partition that answers most kept rows rightly.

From every task alone, the two groups whose union answers most rows rightly are merged, again and
again. Of all the partitions on that path the best one is taken, each merger costing `MERGER` rows,
so that what is equally good stays apart: each domain may then have a prompt of its own. It must
answer significantly more rows than one flat head over everything does (sign test), for routing
that is not needed only errs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from learner.domains.evidence import Evidence, Group, Groups, gather
from learner.domains.rows import TaskRows

MERGER = 1.0
"""Rows a merger must win."""
ALPHA = 0.25
"""Chance of routing between domains where that is no better than one flat head."""
STEADY = 3.0
"""Rows that a partition found from scratch must win over one that grew from the present one."""


@dataclass(frozen=True)
class Partition:
    """The tasks of each domain, both in order of arrival, and what spoke for it."""

    domains: tuple[tuple[str, ...], ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)


def place(
    tasks: Mapping[str, TaskRows],
    current: Partition,
    declared: Mapping[str, str] | None = None,
) -> Partition:
    """The partition of these tasks, in order of arrival. `current` may lack some of them.

    declared: domains that the caller names, by task; such tasks are together whatever rows say,
    and with nobody else.
    """
    names = list(tasks)
    fixed = _declared(names, declared or {})
    free = [name for name in names if not any(name in group for group in fixed)]
    groups, report = _found(free, tasks, current)
    domains = sorted((*groups, *fixed), key=lambda group: names.index(group[0]))
    return Partition(tuple(domains), report)


def _declared(names: Sequence[str], declared: Mapping[str, str]) -> list[tuple[str, ...]]:
    domains = dict.fromkeys(declared[name] for name in names if name in declared)
    return [tuple(name for name in names if declared.get(name) == domain) for domain in domains]


def _found(
    names: Sequence[str], tasks: Mapping[str, TaskRows], current: Partition
) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    if len(names) < 2:
        return [(name,) for name in names], {}
    evidence = gather([tasks[name] for name in names])
    apart: Groups = tuple((number,) for number in range(len(names)))
    whole: Groups = (tuple(range(len(names))),)
    best = max((_best(evidence, start) for start in (_grown(names, current), apart)), key=_value)
    steady = _best(evidence, _grown(names, current))
    if steady.value >= best.value - STEADY:
        best = steady
    flat = evidence.right(whole)
    right = evidence.right(best.groups)
    wins, losses = int((right & ~flat).sum()), int((flat & ~right).sum())
    chance = sign_test(wins, losses)
    routed = len(best.groups) > 1 and chance <= ALPHA
    chosen = best.groups if routed else whole
    report = {
        "routed": routed,
        "rows": len(flat),
        "flat_right": int(flat.sum()),
        "routed_right": int(right.sum()),
        "p_value": round(chance, 6),
        "domains": len(best.groups),
    }
    return [tuple(names[number] for number in sorted(group)) for group in chosen], report


@dataclass(frozen=True)
class _Candidate:
    groups: Groups
    value: float


def _value(candidate: _Candidate) -> float:
    return candidate.value


def _grown(names: Sequence[str], current: Partition) -> Groups:
    """The present partition, each new task alone."""
    index = {name: number for number, name in enumerate(names)}
    known = [tuple(index[name] for name in group if name in index) for group in current.domains]
    placed = {number for group in known for number in group}
    alone: list[Group] = [(number,) for number in range(len(names)) if number not in placed]
    return (*(group for group in known if group), *alone)


def _best(evidence: Evidence, start: Groups) -> _Candidate:
    """The best partition on the path of mergers that begins at `start`."""
    groups, mergers = start, len(evidence.routed[0]) - len(start)
    best = _Candidate(groups, float(evidence.right(groups).sum()) - MERGER * mergers)
    while len(groups) > 1:
        groups = max(_mergers(groups), key=lambda merged: int(evidence.right(merged).sum()))
        mergers += 1
        value = float(evidence.right(groups).sum()) - MERGER * mergers
        if value > best.value:
            best = _Candidate(groups, value)
    return best


def _mergers(groups: Groups) -> list[Groups]:
    found: list[Groups] = []
    for first, second in combinations(range(len(groups)), 2):
        merged: Group = tuple(sorted((*groups[first], *groups[second])))
        others = [g for number, g in enumerate(groups) if number not in (first, second)]
        found.append((*others, merged))
    return found


def sign_test(wins: int, losses: int) -> float:
    """P(at least `wins` heads in `wins + losses` fair tosses): exact, one-sided."""
    from scipy.stats import binomtest

    if wins + losses == 0:
        return 1.0
    return float(binomtest(wins, wins + losses, alternative="greater").pvalue)
