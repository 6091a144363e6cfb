"""A domain: tasks that share one prompt and one head. Immutable."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backbones import Prefix
from learner.heads.novelty import Novelty
from learner.heads.viewed import FittedViewed, ViewedHead
from learner.statistics import ClassStatistics

ALL = "all"
"""The only domain of a method that has one aggregate for all tasks."""


@dataclass(frozen=True, eq=False)
class Domain:
    """Tasks in order of arrival; the head's columns are their classes in that order.

    name: that of the task that opened it, or `ALL`.
    prompt: what its inputs are seen under; None: nothing, the plain backbone.
    taught: the tasks whose rows it may have been trained on: those of the domain when it was.
    cooling: the temperature that heads under it need on rows that it was not trained on; None:
    such rows are held out, and heads are calibrated on them.
    head: None where it has to be fitted anew; `fitted` then says how the last one was chosen.
    statistics: of every example ever learnt, on the last layer's features under the prompt.
    """

    name: str
    tasks: tuple[str, ...]
    prompt: Prefix | None = None
    taught: tuple[str, ...] = ()
    cooling: float | None = None
    head: ViewedHead | None = None
    novelty: Novelty | None = None
    statistics: ClassStatistics | None = None
    fitted: FittedViewed | None = None

    def stale(self) -> Domain:
        """The same with a head that has to be fitted anew."""
        return replace(self, head=None, novelty=None)
