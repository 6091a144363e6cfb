"""What many heads make of one pass, without doing the same for each of them."""

from __future__ import annotations

from collections.abc import Sequence

from learner.arrays import FloatArray
from learner.heads.head import Head
from learner.heads.projected import ProjectedHead
from learner.sight import Seen
from learner.view import View


class Passed:
    """What a pass saw. Heads share one random projection, of megabytes: all rows go through it
    at once, however few of them each head is asked about."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._hidden: dict[tuple[View, int], FloatArray] = {}

    def log_posteriors(self, head: Head, view: View, rows: Sequence[int]) -> FloatArray:
        """(n, C) of a head that looks at a view of these rows. Raises ValueError as heads do."""
        if not isinstance(head, ProjectedHead):
            return head.log_posteriors(view(self.seen.take(rows)))
        key = view, id(head.projection)
        if key not in self._hidden:
            self._hidden[key] = head.hidden(view(self.seen))
        return head.log_posteriors_of(self._hidden[key][rows])
