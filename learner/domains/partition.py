"""Which tasks share a domain: the partition that answers most held-out rows rightly.

From every task alone, the two groups whose union answers most rows rightly are merged, again and
again, down to one group. Of the partitions on that path the best is taken, a merger costing
`MERGER` rows: what is equally good stays apart, for each domain may then have a prompt of its own.
Against one flat head over everything it must win (sign test), or all tasks stay in one domain.

The same is done from the present partition with new tasks alone. What is found from nothing must
win `STEADY` rows over that: so early mistakes mend, and tasks do not move about for a row or two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from learner.domains.evidence import Evidence, Group, Groups, gather, sampled
from learner.domains.rows import TaskRows
from learner.domains.split import Split
from learner.gate import sign_test

ALPHA = 0.25
"""Chance (exact sign test, one-sided) of routing where one flat head is as good. Not strict: it
costs little between domains, and lets each of them have its own prompt."""
MERGER = 1
"""Held-out rows that a merger must win."""
STEADY = 5
"""Held-out rows that a partition must win over one that moves no task."""


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

    current: what is served now; the report names its tasks whose company changes.
    declared: domains that the caller names, by task; such tasks are together whatever rows say,
    and with nobody else.
    """
    names = list(tasks)
    fixed = _declared(names, declared or {})
    free = [name for name in names if not any(name in group for group in fixed)]
    groups, report = _found(free, tasks, current)
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
    names: Sequence[str], tasks: Mapping[str, TaskRows], current: Partition
) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    if len(names) < 2:
        return [(name,) for name in names], {}
    rows = sampled([tasks[name] for name in names])
    evidence = gather(rows)
    whole: Groups = (tuple(range(len(names))),)
    apart: Groups = tuple((number,) for number in range(len(names)))
    steady, anew = _best(evidence, _grown(names, current)), _best(evidence, apart)
    found = anew.groups if anew.value > steady.value + STEADY else steady.groups
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


@dataclass(frozen=True)
class _Found:
    groups: Groups
    value: int


def _grown(names: Sequence[str], current: Partition) -> Groups:
    """The present partition, each new task alone; all alone where it has but one domain.

    One domain says that routing did not pay, not that its tasks belong together.
    """
    index = {name: number for number, name in enumerate(names)}
    known = [tuple(index[name] for name in group if name in index) for group in current.domains]
    groups = [group for group in known if group] if len(current.domains) > 1 else []
    placed = {number for group in groups for number in group}
    return (*groups, *((number,) for number in range(len(names)) if number not in placed))


def _best(evidence: Evidence, start: Groups) -> _Found:
    """The best partition on the path of mergers from `start`; of equals the finest."""
    split = Split.of(evidence, start)
    mergers = evidence.routed.shape[1] - len(start)
    best = _Found(split.groups, split.right - MERGER * mergers)
    while len(split.groups) > 1:
        split, mergers = max(split.mergers(), key=lambda merged: merged.right), mergers + 1
        if split.right - MERGER * mergers > best.value:
            best = _Found(split.groups, split.right - MERGER * mergers)
    return best


def _differing(evidence: Evidence, groups: Groups) -> tuple[int, int]:
    """Rows that routing alone answers rightly, and those that the flat head alone does."""
    routed, flat = evidence.right(groups), evidence.right((_union(groups),))
    return int((routed & ~flat).sum()), int((flat & ~routed).sum())


def _union(groups: Groups) -> Group:
    return tuple(sorted(number for group in groups for number in group))
