"""A partition under way, with what is needed to judge its mergers quickly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray
from learner.domains.evidence import Evidence, Groups


@dataclass(frozen=True, eq=False)
class Split:
    """G groups of tasks, and of N held-out rows and each group:

    mass: (N, G) the router's probability; best: (N, G) the flat head's highest log-posterior of a
    class in it; hit: (N, G) whether that class is the true one.
    """

    groups: Groups
    mass: FloatArray
    best: FloatArray
    hit: NDArray[np.bool_]

    @classmethod
    def of(cls, evidence: Evidence, groups: Groups) -> Split:
        """This partition of all tasks."""
        columns = [np.flatnonzero(np.isin(evidence.owner_of, group)) for group in groups]
        chosen = [own[evidence.flat[:, own].argmax(axis=1)] for own in columns]
        tasks = np.exp(evidence.routed)
        best = [np.take_along_axis(evidence.flat, c[:, None], 1)[:, 0] for c in chosen]
        hit = [c == evidence.classes for c in chosen]
        return cls(
            groups,
            np.stack([tasks[:, list(group)].sum(axis=1) for group in groups], axis=1),
            np.stack(best, axis=1),
            np.stack(hit, axis=1),
        )

    @cached_property
    def right(self) -> int:
        """Rows answered rightly: routed to a group, answered by the flat head within it."""
        routes = self.mass.argmax(axis=1)
        return int(self.hit[np.arange(len(routes)), routes].sum())

    def mergers(self) -> Iterator[Split]:
        """Every split with two of the groups made one."""
        for first, second in combinations(range(len(self.groups)), 2):
            yield self._merged(first, second)

    def _merged(self, first: int, second: int) -> Split:
        others = [g for g in range(len(self.groups)) if g not in (first, second)]
        union = tuple(sorted((*self.groups[first], *self.groups[second])))
        best, hit = self.best, self.hit
        ahead = best[:, first] >= best[:, second]
        mass = self.mass[:, first] + self.mass[:, second]
        higher = np.maximum(best[:, first], best[:, second])
        either = np.where(ahead, hit[:, first], hit[:, second])
        return Split(
            (*(self.groups[g] for g in others), union),
            np.concatenate([self.mass[:, others], mass[:, None]], axis=1),
            np.concatenate([best[:, others], higher[:, None]], axis=1),
            np.concatenate([hit[:, others], either[:, None]], axis=1),
        )
