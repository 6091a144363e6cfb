"""How new examples were answered before they were learnt (prequential accuracy), in words."""

from __future__ import annotations

from collections.abc import Iterable

from perennial.client import Prequential


def answered_before(tasks: Iterable[Prequential]) -> str | None:
    """For instance `33/40 + 8 new`: of `rows` examples of known classes `right` ones, and `new`."""
    counts = list(tasks)
    if not counts:
        return None
    rows = sum(one.rows for one in counts)
    right = sum(one.right for one in counts)
    new = sum(one.new for one in counts)
    told = ([f"{right}/{rows}"] if rows else []) + ([f"{new} new"] if new else [])
    return " + ".join(told)
