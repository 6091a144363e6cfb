"""A candidate's trial: the same held-out rows answered by candidate, live and frozen.

The rows looked at are bounded and spread evenly over classes, so that a trial costs the same after
the thirtieth task as after the third. Each contender gets the same kind of head, fitted on the fit
rows' features as that contender sees them, and answers the held-out rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backbones import Backbone, FloatArray, Prefix
from learner.arrays import IntArray
from learner.content import class_id
from learner.examples import KeptExample, pick_spread
from learner.gate import Answers, GateConfig, Protocol, Verdict, judge
from learner.heads.auto import fit_head
from learner.heads.config import HeadConfig
from learner.heads.head import Head
from learner.knowledge import Knowledge, TaskKnowledge
from learner.refresh import see

HELD_OUT_SHARE = 3
"""One in so many rows of a trial is a held-out one, where there are enough of both."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a trial: n fit rows, then m held-out rows.

    rows (n + m), targets (n + m,), live (n + m, D) features as live sees them, tasks (m,) names.
    """

    rows: list[KeptExample]
    targets: IntArray
    live: FloatArray
    fit: int
    classes: list[str]
    tasks: list[str]

    @property
    def answers_to(self) -> IntArray:
        """(m,) the right answers."""
        return self.targets[self.fit :]


@dataclass(frozen=True, eq=False)
class Trial:
    """The verdict, and the head a candidate gets if somebody promotes it by hand.

    The head is fitted on all rows of the sample, seen under the candidate: the learner refits it on
    all kept examples once the candidate is live.
    """

    verdict: Verdict
    head: Head


def try_aggregate(
    knowledge: Knowledge,
    candidate: Prefix,
    backbone: Backbone,
    head: HeadConfig,
    gate: GateConfig,
) -> Trial:
    """Judge an aggregate by the requests that name no task: all classes of all tasks compete."""
    sample = _sample(knowledge.tasks, gate.rows)
    return _try(sample, candidate, knowledge.aggregate, backbone, head, gate, "no task named")


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
    served = task if task.prompted is None else _as_prompted(task)
    sample = _sample({name: served}, gate.rows)
    live = task.prompt if task.prompt is not None else knowledge.aggregate
    return _try(sample, candidate, live, backbone, head, gate, "task named")


def _as_prompted(task: TaskKnowledge) -> TaskKnowledge:
    assert task.prompted is not None
    return TaskKnowledge(task.examples, task.prompted)


def _sample(tasks: Mapping[str, TaskKnowledge], budget: int) -> Sample:
    rows: list[KeptExample] = []
    owners: list[str] = []
    targets: list[NDArray[np.int64]] = []
    classes: list[str] = []
    for name, task in tasks.items():
        rows += task.examples.rows
        owners += [name] * len(task.examples.rows)
        targets.append(np.asarray(task.targets + len(classes), dtype=np.int64))
        classes += [class_id(name, label) for label in task.examples.labels]
    target, held = np.concatenate(targets), np.array([row.held_out for row in rows], dtype=bool)
    live = np.concatenate([task.seen for task in tasks.values()])
    judged = pick_spread(_by_class(target, held, len(classes)), budget // HELD_OUT_SHARE)
    fit = pick_spread(_by_class(target, ~held, len(classes)), budget - len(judged))
    chosen = fit + judged
    return Sample(
        rows=[rows[i] for i in chosen],
        targets=target[chosen],
        live=live[chosen],
        fit=len(fit),
        classes=classes,
        tasks=[owners[i] for i in judged],
    )


def _by_class(
    targets: NDArray[np.int64], wanted: NDArray[np.bool_], classes: int
) -> list[list[int]]:
    return [np.flatnonzero((targets == c) & wanted).tolist() for c in range(classes)]


def _try(
    sample: Sample,
    candidate: Prefix,
    live: Prefix | None,
    backbone: Backbone,
    head: HeadConfig,
    gate: GateConfig,
    protocol: Protocol,
) -> Trial:
    features = see(backbone, sample.rows, candidate)
    answers: dict[str, Answers] = {}
    if sample.fit < len(sample.rows):
        frozen = sample.live if live is None else see(backbone, sample.rows, None)
        answers = _answers(sample, features, frozen, head)
    return Trial(
        judge(answers, protocol, gate),
        fit_head(features, sample.targets, sample.classes, head).head,
    )


def _answers(
    sample: Sample, candidate: FloatArray, frozen: FloatArray, head: HeadConfig
) -> dict[str, Answers]:
    right_candidate = _right(sample, candidate, head)
    right_live = _right(sample, sample.live, head)
    right_frozen = right_live if frozen is sample.live else _right(sample, frozen, head)
    answers = {}
    for name in dict.fromkeys(sample.tasks):
        of_task = np.array([owner == name for owner in sample.tasks])
        answers[name] = Answers(
            right_candidate[of_task], right_live[of_task], right_frozen[of_task]
        )
    return answers


def _right(sample: Sample, features: FloatArray, head: HeadConfig) -> NDArray[np.bool_]:
    fitted = fit_head(features[: sample.fit], sample.targets[: sample.fit], sample.classes, head)
    answers = fitted.head.log_posteriors(features[sample.fit :]).argmax(axis=1)
    return np.asarray(answers == sample.answers_to)
