"""The slow path: a new prompt, tried by the gate, and what the verdicts lead to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from backbones import Description, Prefix
from learner.bound import within_bound
from learner.config import LearnerConfig
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.expression import express, see_own
from learner.gate import GateConfig, Verdict
from learner.heads import HeadConfig
from learner.knowledge import Knowledge, TaskKnowledge, under
from learner.lessons import lesson_of_all, lesson_of_domain, lesson_of_task
from learner.methods.adapted import DomainPrompt, halves_of
from learner.methods.base import Method, MethodState, Progress
from learner.methods.joint import Joint
from learner.refresh import refit
from learner.rows import from_prefix
from learner.trial import (
    Field,
    Trial,
    compare,
    compare_across,
    field_of,
    field_of_task,
    screen,
    screening_head,
    try_prompt,
)

Choice = Literal["live", "candidate", "frozen"]

JUDGES = 1536
"""Rows of a domain that judge a candidate, at most: so that a trial costs the same however many
tasks a domain has."""
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
    if config.method == "frozen":
        return False
    if config.method == "auto":  # every row of a class with two judges, across halves
        counts = np.bincount(task.targets)
        several = counts[counts > 1]
        least = max(config.minimum_rows, config.gate.fewest_judges)
        return len(several) > 1 and int(several.sum()) >= least
    fit = ~task.held_out
    if len(np.unique(task.targets[fit])) < 2:
        return False
    judges = int((~fit).sum())
    judged = config.gate.mode != "test" or judges >= config.gate.fewest_judges
    return judged and int(fit.sum()) >= config.minimum_rows


def start_state(
    knowledge: Knowledge, method: Method, lineage: MethodState | None, description: Description
) -> MethodState:
    """What a training goes on from: the newest state, or for prompts by domain what is live.

    A prompt that other domains' tasks have trained, before they were told apart, is left behind.
    """
    if not is_by_domain(method):
        return lineage or method.start(description)
    own = {
        domain.name: from_prefix(domain.prompt)
        for domain in knowledge.domains
        if domain.prompt is not None and set(domain.taught) <= set(domain.tasks)
    }
    return replace(method.start(description), kept=own)


def parted(before: Knowledge, after: Knowledge) -> list[str]:
    """The first task of every domain that is new without a new task: it was never trained alone."""
    known = {frozenset(domain.tasks) for domain in before.domains}
    return [
        domain.tasks[0]
        for domain in after.domains
        if frozenset(domain.tasks) not in known and set(domain.tasks) <= before.tasks.keys()
    ]


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
    make = lesson_of_task
    if is_by_domain(method):
        make = lesson_of_domain
    elif isinstance(method, Joint):
        make = lesson_of_all
    return method.train(make(knowledge, task, encoder, config), state, encoder.backbone, report)


def decide(
    knowledge: Knowledge,
    task: str,
    state: MethodState,
    method: Method,
    encoder: ExampleEncoder,
    config: LearnerConfig,
) -> Decision:
    """Put a trained state before the gate, for all ways a request may come."""
    domain = knowledge.domain_of(task)
    if is_by_domain(method):
        return _decide_across(knowledge, task, domain, state, encoder, config)
    candidate, field = state.aggregate, field_of(knowledge, domain.name)
    own = field_of_task(knowledge, task)
    prompt = try_prompt(own, state.snapshots[task], encoder, config.head, config.gate)
    screening = None
    if len(field.rows) > SCREENED_ABOVE * config.gate.rows:
        screening = screen(field, candidate, encoder, config.head, config.gate)
        if _is_hopeless(screening, domain):
            return Decision(
                task, domain.name, state, candidate, "live", knowledge, screening, None, prompt
            )
    trained = express(knowledge, domain, candidate, encoder)
    seen = trained.seen(trained.domain_of(task))
    trial = compare(field, seen, config.head, config.gate, "no task named")
    choice = _choice(domain, trial.verdict)
    expressed = trained if choice == "candidate" else _kept(knowledge, domain, choice, encoder)
    return Decision(
        task, domain.name, state, candidate, choice, expressed, screening, trial, prompt
    )


def _decide_across(
    knowledge: Knowledge,
    task: str,
    domain: Domain,
    state: MethodState,
    encoder: ExampleEncoder,
    config: LearnerConfig,
) -> Decision:
    """A domain's prompt, judged by its rows: those of each half by the prompt of the other."""
    candidate, parts = state.snapshots[domain.name], halves_of(state, domain.name)
    field = field_of(knowledge, domain.name).across()

    def judged(rows: Field, head: HeadConfig, gate: GateConfig) -> Trial:
        first, second = (
            under(rows.plain, encoder.upper(rows.rows, part, half=True)) for part in parts
        )
        return compare_across(rows, (first, second), head, gate)

    screening = None
    if len(field.rows) > SCREENED_ABOVE * config.gate.rows:
        sample = field.sample_across(config.gate.rows)
        screening = judged(sample, screening_head(config.head), config.gate.for_screening)
        if _is_hopeless(screening, domain):
            return Decision(
                task, domain.name, state, candidate, "live", knowledge, screening, None, None
            )
    trial = judged(field.sample_across(JUDGES), config.head, config.gate)
    choice = _choice(domain, trial.verdict)
    if choice == "candidate":
        expressed = express(knowledge, domain, candidate, encoder)
        served = replace(expressed.domain_of(task), cooling=trial.temperature)
        expressed = expressed.with_domain(served)
    else:
        expressed = _kept(knowledge, domain, choice, encoder)
    return Decision(task, domain.name, state, candidate, choice, expressed, screening, trial, None)


def _is_hopeless(screening: Trial, domain: Domain) -> bool:
    """Whether neither the candidate nor giving up the prompt is worth a closer look."""
    give_up = domain.prompt is not None and screening.verdict.frozen_suffices
    return not screening.verdict.accepted and not give_up


def _choice(domain: Domain, verdict: Verdict) -> Choice:
    """The prompt that serves from here on."""
    if verdict.accepted:
        return "candidate"
    return "frozen" if domain.prompt is not None and verdict.frozen_suffices else "live"


def _kept(
    knowledge: Knowledge, domain: Domain, choice: Choice, encoder: ExampleEncoder
) -> Knowledge:
    """What is known where the candidate does not serve."""
    return express(knowledge, domain, None, encoder) if choice == "frozen" else knowledge


def accept(
    decision: Decision,
    encoder: ExampleEncoder,
    config: LearnerConfig,
    report: Progress,
    busy: Collection[str] = (),
) -> Knowledge:
    """Knowledge with what the gate chose serving. Raises what `report` raises.

    busy: tasks whose own prompts are still undecided.
    """
    knowledge = decision.expressed
    if decision.choice == "candidate":
        domain = knowledge.domain_of(decision.task)
        knowledge = knowledge.with_domain(replace(domain, taught=domain.tasks))
    if decision.prompt_accepted:
        known = replace(
            knowledge.tasks[decision.task],
            prompt=decision.state.snapshots[decision.task],
            own=None,
            head=None,
        )
        knowledge = see_own(knowledge.with_task(decision.task, known), encoder)
    knowledge = within_bound(knowledge, encoder, config, report)
    return refit(knowledge, config, encoder, busy)


def as_candidate(knowledge: Knowledge, decision: Decision) -> Knowledge:
    """Knowledge as if all of a refused candidate served, for people to look at and to promote.

    Its heads come from the trial's sample, and what the prompt would see is left out: encoding
    every kept example for something that will hardly ever serve would make training dearer with
    every task.
    """
    domain = knowledge.domain_of(decision.task)
    last = decision.trial or decision.screening
    assert last is not None, "a candidate was tried"
    refused = replace(
        domain.stale(),
        prompt=decision.candidate,
        taught=domain.tasks,
        cooling=last.temperature if decision.prompt is None else None,
        head=last.head,
        statistics=None,
    )
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
