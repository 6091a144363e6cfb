"""The slow path: a new prompt, tried by the gate, and what the verdicts lead to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from backbones import Description, Prefix, Preprocessed
from learner.config import LearnerConfig
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample, pick_spread
from learner.gate import Verdict
from learner.knowledge import Knowledge, TaskKnowledge
from learner.methods.adapted import DomainPrompt
from learner.methods.base import Lesson, Method, MethodState, Progress
from learner.refresh import refit
from learner.rows import from_prefix
from learner.statistics import ClassStatistics
from learner.trial import Trial, compare, field_of, field_of_task, screen, try_prompt

Choice = Literal["live", "candidate", "frozen"]

SCREENED_ABOVE = 2
"""A domain of more than so many screenings' rows is screened before all of it is encoded."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What the gate made of a trained candidate, for both ways a request may come.

    choice: which prompt the domain is served under from here on; expressed: all kept examples of
    the domain as it sees them. screening: None where the domain is small; trial: on all rows, None
    where the screening was enough. prompt: of the task's own prompt, where the method makes one.
    """

    task: str
    domain: str
    state: MethodState
    candidate: Prefix
    choice: Choice
    expressed: Knowledge
    screening: Trial | None
    trial: Trial | None
    prompt: Trial | None

    @property
    def prompt_accepted(self) -> bool:
        """Whether the task gets a prompt of its own."""
        return self.prompt is not None and self.prompt.verdict.accepted

    @property
    def accepted(self) -> bool:
        """Whether anything changes for requests."""
        return self.choice != "live" or self.prompt_accepted

    @property
    def complete(self) -> bool:
        """Whether all of the candidate may serve."""
        return self.choice == "candidate" and (self.prompt is None or self.prompt_accepted)

    def report(self) -> dict[str, Any]:
        """For the manifest."""
        trials = {"screening": self.screening, "trial": self.trial, "prompt": self.prompt}
        return {
            "task": self.task,
            "domain": self.domain,
            "accepted": self.choice == "candidate" or self.prompt_accepted,
            "aggregate": self.choice,
            **{name: t.verdict.report() for name, t in trials.items() if t is not None},
        }


def is_trainable(task: TaskKnowledge, config: LearnerConfig) -> bool:
    """Whether a prompt is worth training: two classes, rows to fit, enough to be judged by."""
    fit = ~task.held_out
    if config.method == "frozen" or len(np.unique(task.targets[fit])) < 2:
        return False
    judges = int((~fit).sum())
    judged = config.gate.mode != "test" or judges >= config.gate.fewest_judges
    return judged and int(fit.sum()) >= config.minimum_rows


def start_state(
    knowledge: Knowledge, method: Method, lineage: MethodState | None, description: Description
) -> MethodState:
    """What a training goes on from: the newest state, or for prompts by domain what is live."""
    if not is_by_domain(method):
        return lineage or method.start(description)
    prompts = {d.name: from_prefix(d.prompt) for d in knowledge.domains if d.prompt is not None}
    return replace(method.start(description), kept=prompts)


def is_by_domain(method: Method) -> bool:
    """Whether a method trains a prompt for each domain, not one for all and one for each task."""
    return isinstance(method, DomainPrompt)


def train_prompt(
    knowledge: Knowledge,
    task: str,
    state: MethodState,
    method: Method,
    encoder: ExampleEncoder,
    config: LearnerConfig,
    report: Progress,
) -> MethodState:
    """The method's state after a lesson on one task. Raises what `report` raises."""
    make = _lesson_of_domain if is_by_domain(method) else _lesson_of_task
    return method.train(make(knowledge, task, encoder, config), state, encoder.backbone, report)


def _lesson_of_task(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, config: LearnerConfig
) -> Lesson:
    """One task's fit rows; of other tasks only what eviction may look at."""
    known = knowledge.tasks[task]
    fit = np.flatnonzero(~known.held_out)
    labels, targets = np.unique(known.targets[fit], return_inverse=True)
    rows = [known.examples.rows[i] for i in fit]
    return Lesson(
        task=task,
        inputs=encoder.preprocess(rows),
        labels=targets.astype(np.int64),
        classes=len(labels),
        lower=encoder.lower(rows),
        memory=_memory(knowledge, task, encoder, config.memory_rows),
        seed=_seed(config.seed, task, len(known.examples.rows)),
    )


def _lesson_of_domain(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, config: LearnerConfig
) -> Lesson:
    """The task's fit rows and as many of the domain's other tasks, spread over their classes.

    All classes of the domain compete, as they will when requests come.
    """
    domain = knowledge.domain_of(task)
    rows = [row for name in domain.tasks for row in knowledge.tasks[name].examples.rows]
    owners = [n for n in domain.tasks for _ in knowledge.tasks[n].examples.rows]
    targets = knowledge.targets(domain)
    fit = [i for i, row in enumerate(rows) if not row.held_out]
    own = [i for i in fit if owners[i] == task]
    others = [[i for i in fit if owners[i] != task and targets[i] == c] for c in np.unique(targets)]
    chosen = sorted(own + pick_spread(others, len(own)))
    labels, columns = np.unique(targets[chosen], return_inverse=True)
    lesson = [rows[i] for i in chosen]
    return Lesson(
        task=domain.name,
        inputs=encoder.preprocess(lesson),
        labels=columns.astype(np.int64),
        classes=len(labels),
        lower=encoder.lower(lesson),
        seed=_seed(config.seed, task, len(rows)),
    )


def decide(
    knowledge: Knowledge,
    task: str,
    state: MethodState,
    method: Method,
    encoder: ExampleEncoder,
    config: LearnerConfig,
) -> Decision:
    """Put a trained state before the gate, for both ways a request may come."""
    domain = knowledge.domain_of(task)
    by_domain = is_by_domain(method)
    candidate = state.snapshots[domain.name] if by_domain else state.aggregate
    prompt = None
    if not by_domain:
        field = field_of_task(knowledge, task)
        prompt = try_prompt(field, state.snapshots[task], encoder, config.head, config.gate)
    field = field_of(knowledge, domain.name)
    screening = None
    if len(field.rows) > SCREENED_ABOVE * config.gate.rows:
        screening = screen(field, candidate, encoder, config.head, config.gate)
        hopeless = domain.prompt is None or not screening.verdict.frozen_suffices
        if not screening.verdict.accepted and hopeless:
            return Decision(
                task, domain.name, state, candidate, "live", knowledge, screening, None, prompt
            )
    trained = express(knowledge, domain, candidate, encoder)
    seen = trained.seen(trained.domain_of(task))
    trial = compare(field, seen, config.head, config.gate, "no task named")
    choice, expressed = _choose(knowledge, domain, trained, trial.verdict, encoder)
    return Decision(
        task, domain.name, state, candidate, choice, expressed, screening, trial, prompt
    )


def _choose(
    knowledge: Knowledge,
    domain: Domain,
    trained: Knowledge,
    verdict: Verdict,
    encoder: ExampleEncoder,
) -> tuple[Choice, Knowledge]:
    """The prompt that serves from here on, and every kept example as it sees them."""
    if verdict.accepted:
        return "candidate", trained
    if domain.prompt is not None and verdict.frozen_suffices:
        return "frozen", express(knowledge, domain, None, encoder)
    return "live", knowledge


def accept(decision: Decision, encoder: ExampleEncoder, config: LearnerConfig) -> Knowledge:
    """Knowledge with what the gate chose serving."""
    knowledge = decision.expressed
    if decision.choice == "candidate":
        domain = knowledge.domain_of(decision.task)
        taught = tuple(dict.fromkeys((*domain.taught, decision.task)))
        knowledge = knowledge.with_domain(replace(domain, taught=taught))
    if decision.prompt_accepted:
        known = replace(
            knowledge.tasks[decision.task],
            prompt=decision.state.snapshots[decision.task],
            own=None,
            head=None,
        )
        knowledge = see_own(knowledge.with_task(decision.task, known), encoder)
    return refit(knowledge, config, encoder)


def as_candidate(knowledge: Knowledge, decision: Decision) -> Knowledge:
    """Knowledge as if all of a refused candidate served, for people to look at and to promote.

    Its heads come from the trial's sample, and what the prompt would see is left out: encoding
    every kept example for something that will hardly ever serve would make training dearer with
    every task.
    """
    domain = next(d for d in knowledge.domains if d.name == decision.domain)
    last = decision.trial or decision.screening
    assert last is not None, "a candidate was tried"
    refused = replace(domain.stale(), prompt=decision.candidate, head=last.head, statistics=None)
    tasks = {
        name: replace(task, upper=None) if name in domain.tasks else task
        for name, task in knowledge.tasks.items()
    }
    if decision.prompt is not None:
        tasks[decision.task] = replace(
            tasks[decision.task],
            prompt=decision.state.snapshots[decision.task],
            own=None,
            head=decision.prompt.head,
        )
    return replace(knowledge, tasks=tasks).with_domain(refused)


def complete(knowledge: Knowledge, encoder: ExampleEncoder, config: LearnerConfig) -> Knowledge:
    """Knowledge of a promoted candidate with the features it lacks, heads refitted."""
    for domain in knowledge.domains:
        missing = [name for name in domain.tasks if knowledge.tasks[name].upper is None]
        if domain.prompt is not None and missing:
            knowledge = express(knowledge, domain, domain.prompt, encoder)
    return refit(see_own(knowledge, encoder), config, encoder)


def see_own(knowledge: Knowledge, encoder: ExampleEncoder) -> Knowledge:
    """Features under a task's own prompt wherever they are missing."""
    tasks = {
        name: replace(task, own=encoder.upper(task.examples.rows, task.prompt), head=None)
        if task.prompt is not None and task.own is None
        else task
        for name, task in knowledge.tasks.items()
    }
    return replace(knowledge, tasks=tasks)


def express(
    knowledge: Knowledge, domain: Domain, prompt: Prefix | None, encoder: ExampleEncoder
) -> Knowledge:
    """All kept examples of a domain as they are seen under a new prompt, and their statistics.

    Statistics of examples that are no longer kept cannot be recomputed: they are left out.
    """
    for name in domain.tasks:
        task = knowledge.tasks[name]
        upper = None if prompt is None else encoder.upper(task.examples.rows, prompt)
        knowledge = knowledge.with_task(name, replace(task, upper=upper))
    seen, targets = knowledge.seen(domain), knowledge.targets(domain)
    statistics = ClassStatistics.of(seen.features, targets, knowledge.labels_of(domain.tasks))
    taught = () if prompt is None else domain.taught
    return knowledge.with_domain(
        replace(domain.stale(), prompt=prompt, taught=taught, statistics=statistics)
    )


def _memory(
    knowledge: Knowledge, task: str, encoder: ExampleEncoder, budget: int
) -> Preprocessed | None:
    others: dict[str, list[KeptExample]] = {
        name: list(known.examples.rows)
        for name, known in sorted(knowledge.tasks.items())
        if name != task
    }
    rows = [row for of_task in others.values() for row in of_task]
    groups: list[list[int]] = []
    for of_task in others.values():
        start = sum(len(group) for group in groups)
        groups.append(list(range(start, start + len(of_task))))
    chosen = pick_spread(groups, budget)
    return encoder.preprocess([rows[i] for i in chosen]) if chosen else None


def _seed(seed: int, task: str, rows: int) -> int:
    digest = hashlib.sha256(f"{seed}/{task}/{rows}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
