"""A candidate's trial: the same held-out rows answered by candidate, live and frozen.

Each contender gets the same kind of head, fitted on the fit rows' features as that contender sees
them, and answers the held-out rows. A *screening* looks at a bounded sample, spread evenly over
classes, so that it costs the same after the thirtieth task as after the third. What passes is
*confirmed* on every kept example: that costs what a change of the aggregate costs anyway, since
then all of them must be encoded anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backbones import Backbone, FloatArray, Prefix
from learner.arrays import IntArray
from learner.content import class_id
from learner.examples import KeptExample, pick_spread
from learner.gate import Answers, GateConfig, Protocol, Verdict, judge
from learner.heads import Head, HeadConfig, fit_head
from learner.knowledge import Knowledge, TaskKnowledge
from learner.refresh import see

HELD_OUT_SHARE = 3
"""One in so many rows of a screening is a held-out one, where there are enough of both."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Field:
    """The rows contenders meet on: (n,) rows with their targets, owners and roles.

    live: (n, D) features as what is live sees them.
    """

    rows: list[KeptExample]
    targets: IntArray
    owners: list[str]
    classes: list[str]
    live: FloatArray

    @property
    def held_out(self) -> Mask:
        """(n,) which rows judge; heads are fitted on the others."""
        return np.array([row.held_out for row in self.rows], dtype=bool)

    def sample(self, budget: int) -> Field:
        """About `budget` rows, spread evenly over the classes, a third of them held out.

        With very many classes more: a head needs one fit row of each.
        """
        held = self.held_out
        judges = pick_spread(self._by_class(held), budget // HELD_OUT_SHARE)
        fit = pick_spread(self._by_class(~held), max(budget - len(judges), len(self.classes)))
        chosen = sorted(fit + judges)
        return Field(
            [self.rows[i] for i in chosen],
            self.targets[chosen],
            [self.owners[i] for i in chosen],
            self.classes,
            self.live[chosen],
        )

    def _by_class(self, wanted: Mask) -> list[list[int]]:
        columns = range(len(self.classes))
        return [np.flatnonzero((self.targets == c) & wanted).tolist() for c in columns]


@dataclass(frozen=True, eq=False)
class Trial:
    """The verdict, and the head a candidate gets if somebody promotes it by hand.

    The head is fitted on the rows of the screening: the learner refits it on all kept examples once
    the candidate is live.
    """

    verdict: Verdict
    head: Head


def screen_aggregate(
    knowledge: Knowledge,
    candidate: Prefix,
    backbone: Backbone,
    head: HeadConfig,
    gate: GateConfig,
) -> Trial:
    """Judge an aggregate by the requests that name no task: all classes of all tasks compete.

    Every contender gets a ridge head: choosing among heads would cost more with every class.
    """
    field = _field(knowledge.tasks).sample(gate.rows)
    ridge = replace(head, kind="ridge")
    return _try(field, candidate, knowledge.aggregate, backbone, ridge, gate, "no task named")


def try_prompt(
    knowledge: Knowledge,
    name: str,
    candidate: Prefix,
    backbone: Backbone,
    head: HeadConfig,
    gate: GateConfig,
) -> Trial:
    """Judge a task's own prompt by the requests that name the task: its classes alone compete."""
    task = knowledge.tasks[name]
    served = task if task.prompted is None else TaskKnowledge(task.examples, task.prompted)
    live = knowledge.aggregate if task.prompt is None else task.prompt
    field = _field({name: served}).sample(gate.rows)
    return _try(field, candidate, live, backbone, head, gate, "task named")


def confirm_aggregate(
    live: Knowledge, candidate: Knowledge, frozen: Knowledge, head: HeadConfig, gate: GateConfig
) -> Verdict:
    """Judge the same examples as three aggregates see them, on every held-out one."""
    field = _field(live.tasks)
    answers = _answers(field, candidate.features, frozen.features, head)
    return judge(answers, "no task named", gate)


def _field(tasks: Mapping[str, TaskKnowledge]) -> Field:
    rows: list[KeptExample] = []
    owners: list[str] = []
    targets: list[NDArray[np.int64]] = []
    classes: list[str] = []
    for name, task in tasks.items():
        rows += task.examples.rows
        owners += [name] * len(task.examples.rows)
        targets.append(np.asarray(task.targets + len(classes), dtype=np.int64))
        classes += [class_id(name, label) for label in task.examples.labels]
    live = np.concatenate([task.seen for task in tasks.values()])
    return Field(rows, np.concatenate(targets), owners, classes, live)


def _try(
    field: Field,
    candidate: Prefix,
    live: Prefix | None,
    backbone: Backbone,
    head: HeadConfig,
    gate: GateConfig,
    protocol: Protocol,
) -> Trial:
    features = see(backbone, field.rows, candidate)
    answers: dict[str, Answers] = {}
    if field.held_out.any():
        frozen = field.live if live is None else see(backbone, field.rows, None)
        answers = _answers(field, features, frozen, head)
    fitted = fit_head(features, field.targets, field.classes, head)
    return Trial(judge(answers, protocol, gate), fitted.head)


def _answers(
    field: Field, candidate: FloatArray, frozen: FloatArray, head: HeadConfig
) -> dict[str, Answers]:
    right_candidate = _right(field, candidate, head)
    right_live = _right(field, field.live, head)
    right_frozen = right_live if frozen is field.live else _right(field, frozen, head)
    judges = np.array(field.owners)[field.held_out]
    return {
        name: Answers(
            right_candidate[judges == name],
            right_live[judges == name],
            right_frozen[judges == name],
        )
        for name in dict.fromkeys(judges.tolist())
    }


def _right(field: Field, features: FloatArray, head: HeadConfig) -> Mask:
    """(m,) which held-out rows a head fitted on the fit rows answers rightly."""
    held = field.held_out
    fitted = fit_head(features[~held], field.targets[~held], field.classes, head)
    answers = fitted.head.log_posteriors(features[held]).argmax(axis=1)
    return np.asarray(answers == field.targets[held])
