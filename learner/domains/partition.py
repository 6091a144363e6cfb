"""Which tasks share a domain: a tree of all tasks by distance, pruned by held-out rows.

Average linkage joins tasks into a tree. From its leaves up, the domains below a node become one
where the flat head does better on their held-out rows than routing between them (paired sign test
on right classes). Where neither is better, near ones are joined and far ones kept apart. Last,
routing must beat one flat head over everything, or all tasks stay in one domain. Everything is
decided anew from the rows alone: early mistakes mend, and the order of arrival is irrelevant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learner.arrays import DoubleArray
from learner.domains.distance import distances
from learner.domains.evidence import Evidence, Group, Groups, gather, sampled
from learner.domains.rows import TaskRows

ALPHA = 0.1
"""Chance (exact sign test, one-sided) below which one answer counts as better: 4 rows to none."""
NEAR = 10.0
"""Mahalanobis distance below which ties are joined: parts of one data set are 4–9 apart."""
ENOUGH = 32
"""Held-out rows that either side of a tie needs to be kept apart for its distance alone."""


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

    current: decides nothing; the report names its tasks whose company changes.
    declared: domains that the caller names, by task; such tasks are together whatever rows say,
    and with nobody else.
    """
    names = list(tasks)
    fixed = _declared(names, declared or {})
    free = [name for name in names if not any(name in group for group in fixed)]
    groups, report = _found(free, tasks)
    domains = tuple(sorted((*groups, *fixed), key=lambda group: names.index(group[0])))
    return Partition(domains, {**report, "moved": _moved(domains, current)} if report else report)


def _declared(names: Sequence[str], declared: Mapping[str, str]) -> list[tuple[str, ...]]:
    domains = dict.fromkeys(declared[name] for name in names if name in declared)
    return [tuple(name for name in names if declared.get(name) == domain) for domain in domains]


def _moved(domains: Sequence[tuple[str, ...]], current: Partition) -> list[str]:
    """Tasks of `current` that leave, or are left by, another task of it."""
    known = {name for group in current.domains for name in group}
    now = {name: known & set(group) for group in domains for name in group}
    return [n for group in current.domains for n in group if n in now and now[n] != set(group)]


def _found(
    names: Sequence[str], tasks: Mapping[str, TaskRows]
) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    if len(names) < 2:
        return [(name,) for name in names], {}
    rows = sampled([tasks[name] for name in names])
    evidence = gather(rows)
    whole: Groups = (tuple(range(len(names))),)
    found = _pruned(evidence, distances(rows))
    flat, right = evidence.right(whole), evidence.right(found)
    chance = sign_test(*_differing(evidence, found))
    routed = len(found) > 1 and chance <= ALPHA
    groups = found if routed else whole
    report = {
        "routed": routed,
        "rows": len(flat),
        "flat_right": int(flat.sum()),
        "routed_right": int(right.sum()),
        "p_value": round(chance, 6),
        "domains": len(groups),
    }
    return [tuple(names[number] for number in group) for group in groups], report


def _pruned(evidence: Evidence, apart: DoubleArray) -> Groups:
    """The partition that the tree's root is left with."""
    from scipy.cluster.hierarchy import linkage

    count = len(apart)
    nodes: list[Groups] = [((number,),) for number in range(count)]
    for left, right, distance, _ in linkage(apart[np.triu_indices(count, 1)], "average"):
        sides = nodes[int(left)], nodes[int(right)]
        groups = (*sides[0], *sides[1])
        joined = _joined(evidence, sides, float(distance))
        nodes.append((_union(groups),) if joined else groups)
    return nodes[-1]


def _joined(evidence: Evidence, sides: tuple[Groups, Groups], distance: float) -> bool:
    groups = (*sides[0], *sides[1])
    wins, losses = _differing(evidence, groups)
    if sign_test(wins, losses) <= ALPHA:
        return False
    if sign_test(losses, wins) <= ALPHA:
        return True
    few = min(evidence.judged(_union(side)) for side in sides) < ENOUGH
    return few or distance < NEAR


def _differing(evidence: Evidence, groups: Groups) -> tuple[int, int]:
    """Rows that routing alone answers rightly, and those that the flat head alone does."""
    routed, flat = evidence.right(groups), evidence.right((_union(groups),))
    return int((routed & ~flat).sum()), int((flat & ~routed).sum())


def _union(groups: Groups) -> Group:
    return tuple(sorted(number for group in groups for number in group))


def sign_test(wins: int, losses: int) -> float:
    """P(at least `wins` heads in `wins + losses` fair tosses): exact, one-sided; 1 without any."""
    from scipy.special import bdtrc

    return float(bdtrc(wins - 1, wins + losses, 0.5)) if wins else 1.0
