"""The slow path: a new prompt for one task, tried by the gate, and what the verdicts lead to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from backbones import FloatArray, Input, Prefix, Preprocessed, TrainableBackbone
from learner.config import LearnerConfig
from learner.examples import KeptExample, pick_spread
from learner.gate import Verdict
from learner.knowledge import Knowledge, TaskKnowledge
from learner.methods.base import Lesson, Method, MethodState, Progress
from learner.refresh import refit, see, statistics_of
from learner.statistics import ClassStatistics
from learner.trial import Trial, confirm_aggregate, screen_aggregate, try_prompt

Choice = Literal["live", "candidate", "frozen"]


@dataclass(frozen=True, eq=False)
class Decision:
    """What the gate made of a trained candidate, for both ways a request may come.

    choice: which aggregate serves from here on; expressed: all kept examples as it sees them;
    confirmation: the judgement on all of them, where the screening called for one.
    """

    task: str
    state: MethodState
    aggregate: Trial
    confirmation: Verdict | None
    choice: Choice
    expressed: Knowledge
    prompt: Trial

    @property
    def accepted(self) -> bool:
        """Whether anything changes for requests."""
        return self.choice != "live" or self.prompt.verdict.accepted

    @property
    def complete(self) -> bool:
        """Whether all of the candidate may serve."""
        return self.choice == "candidate" and self.prompt.verdict.accepted

    def report(self) -> dict[str, Any]:
        """For the manifest."""
        confirmation = self.confirmation
        return {
            "task": self.task,
            "accepted": self.choice == "candidate" or self.prompt.verdict.accepted,
            "aggregate": self.choice,
            "screening": self.aggregate.verdict.report(),
            "confirmation": None if confirmation is None else confirmation.report(),
            "prompt": self.prompt.verdict.report(),
        }


def is_trainable(task: TaskKnowledge, config: LearnerConfig) -> bool:
    """Whether a prompt is worth training: two classes, rows to fit, enough to be judged by."""
    fit = ~task.held_out
    if config.method == "frozen" or len(np.unique(task.targets[fit])) < 2:
        return False
    judges = int((~fit).sum())
    judged = config.gate.mode != "test" or judges >= config.gate.fewest_judges
    return judged and int(fit.sum()) >= config.minimum_rows


def train_prompt(
    knowledge: Knowledge,
    task: str,
    state: MethodState,
    method: Method,
    backbone: TrainableBackbone,
    config: LearnerConfig,
    report: Progress,
) -> MethodState:
    """The method's state after a lesson on one task. Raises what `report` raises."""
    known = knowledge.tasks[task]
    fit = np.flatnonzero(~known.held_out)
    labels, targets = np.unique(known.targets[fit], return_inverse=True)
    lesson = Lesson(
        task=task,
        inputs=_inputs(backbone, [known.examples.rows[i] for i in fit]),
        labels=targets.astype(np.int64),
        classes=len(labels),
        memory=_memory(knowledge, task, backbone, config.memory_rows),
        seed=_seed(config.seed, task, len(known.examples.rows)),
    )
    return method.train(lesson, state, backbone, report)


def decide(
    knowledge: Knowledge,
    task: str,
    state: MethodState,
    backbone: TrainableBackbone,
    config: LearnerConfig,
) -> Decision:
    """Put a trained state before the gate, for both ways a request may come."""
    rule = config.gate.for_screening
    screening = screen_aggregate(knowledge, state.aggregate, backbone, config.head, rule)
    choice, expressed, confirmation = _choose(
        knowledge, state.aggregate, screening.verdict, backbone, config
    )
    prompt = try_prompt(knowledge, task, state.snapshots[task], backbone, config.head, config.gate)
    return Decision(task, state, screening, confirmation, choice, expressed, prompt)


def _choose(
    knowledge: Knowledge,
    candidate: Prefix,
    screening: Verdict,
    backbone: TrainableBackbone,
    config: LearnerConfig,
) -> tuple[Choice, Knowledge, Verdict | None]:
    """The aggregate that serves from here on, and every kept example as it sees them."""
    prompted = knowledge.aggregate is not None
    if not screening.accepted and not (prompted and screening.frozen_suffices):
        return "live", knowledge, None
    trained = reexpress(knowledge, candidate, backbone)
    frozen = reexpress(knowledge, None, backbone) if prompted else knowledge
    verdict = confirm_aggregate(knowledge, trained, frozen, config.head, config.gate)
    if verdict.accepted:
        return "candidate", trained, verdict
    if prompted and verdict.frozen_suffices:
        return "frozen", frozen, verdict
    return "live", knowledge, verdict


def accept(decision: Decision, backbone: TrainableBackbone, config: LearnerConfig) -> Knowledge:
    """Knowledge with what the gate chose serving."""
    knowledge = decision.expressed
    if decision.prompt.verdict.accepted:
        known = replace(
            knowledge.tasks[decision.task],
            prompt=decision.state.snapshots[decision.task],
            prompted=None,
            head=None,
        )
        knowledge = see_prompted(knowledge.with_task(decision.task, known), backbone)
    return refit(knowledge, config)


def as_candidate(knowledge: Knowledge, decision: Decision) -> Knowledge:
    """Knowledge as if all of a refused candidate served, for people to look at and to promote.

    Its heads come from the trial's sample, and features are left out: encoding every kept example
    for something that will hardly ever serve would make training dearer with every task.
    """
    state = decision.state
    task = replace(
        knowledge.tasks[decision.task],
        prompt=state.snapshots[decision.task],
        head=decision.prompt.head,
    )
    tasks = knowledge.with_task(decision.task, task).tasks
    return replace(
        knowledge,
        tasks={name: replace(known, features=None, prompted=None) for name, known in tasks.items()},
        aggregate=state.aggregate,
        statistics=None,
        flat=decision.aggregate.head,
        novelty=None,
    )


def complete(knowledge: Knowledge, backbone: TrainableBackbone, config: LearnerConfig) -> Knowledge:
    """Knowledge of a promoted candidate with the features it lacks, heads refitted."""
    whole = reexpress(knowledge, knowledge.aggregate, backbone)
    return refit(see_prompted(whole, backbone), config)


def see_prompted(knowledge: Knowledge, backbone: TrainableBackbone) -> Knowledge:
    """Features under a task's own prompt wherever they are missing."""
    tasks = {
        name: replace(task, prompted=see(backbone, task.examples.rows, task.prompt), head=None)
        if task.prompt is not None and task.prompted is None
        else task
        for name, task in knowledge.tasks.items()
    }
    return replace(knowledge, tasks=tasks)


def reexpress(
    knowledge: Knowledge, aggregate: Prefix | None, backbone: TrainableBackbone
) -> Knowledge:
    """All kept examples as the backbone sees them under a new aggregate, and their statistics.

    Statistics of examples that are no longer kept cannot be recomputed: they are left out.
    """
    tasks: dict[str, TaskKnowledge] = {}
    statistics: ClassStatistics | None = None
    for name, task in knowledge.tasks.items():
        features: FloatArray = see(backbone, task.examples.rows, aggregate)
        tasks[name] = replace(task, features=features)
        added = statistics_of(name, task.examples.rows, features)
        statistics = added if statistics is None else statistics + added
    return replace(knowledge, tasks=tasks, aggregate=aggregate, statistics=statistics)


def _memory(
    knowledge: Knowledge, task: str, backbone: TrainableBackbone, budget: int
) -> Preprocessed | None:
    rows = [
        row
        for name, known in knowledge.tasks.items()
        if name != task
        for row in known.examples.rows
    ]
    owners = [n for n, k in knowledge.tasks.items() if n != task for _ in k.examples.rows]
    groups = [[i for i, owner in enumerate(owners) if owner == name] for name in set(owners)]
    chosen = pick_spread(sorted(groups), budget)
    return _inputs(backbone, [rows[i] for i in chosen]) if chosen else None


def _inputs(backbone: TrainableBackbone, rows: list[KeptExample]) -> Preprocessed:
    return backbone.preprocess([Input(text=row.text, text_pair=row.text_pair) for row in rows])


def _seed(seed: int, task: str, rows: int) -> int:
    digest = hashlib.sha256(f"{seed}/{task}/{rows}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
