"""What every eviction rule is given and returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from backbones import Queries
from learner.rows import Rows


@dataclass(frozen=True, eq=False)
class EvictionContext:
    """What a rule may use besides the rows.

    `queries` has one entry for each prompted layer; its text side is all that shares the softmax
    with the rows, the shared prefix included. None where nothing is kept.
    """

    queries: Sequence[Queries] | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Evicted:
    """The rows that are left, and the rule that really chose them (a fallback shows here)."""

    rows: Rows
    rule: str


class EvictionRule(Protocol):
    """Compresses a queue's rows."""

    def __call__(self, rows: Rows, keep: int, context: EvictionContext) -> Evicted:
        """At most `keep` rows that stand for all of `rows`. Raises ValueError for keep < 1."""
        ...


def require_keep(keep: int) -> None:
    """Raises ValueError where nothing would be left."""
    if keep < 1:
        raise ValueError(f"eviction to {keep} rows leaves nothing; keep at least 1")
