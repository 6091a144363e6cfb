"""Forgetting a task: exactly from examples, statistics and heads; from prompts by dropping them.

A prompt that was trained beside another's rows carries traces of them. So the prompt of the
forgotten task's domain goes, and with a method whose prompts are trained on one another (Q-tuning's
shared prefix) all of them: what is left is served by the frozen backbone, and prompts begin anew
with the next training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from learner.config import LearnerConfig
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.knowledge import Knowledge
from learner.refresh import refit, statistics_of
from learner.statistics import ClassStatistics


def forget_task(
    knowledge: Knowledge,
    task: str,
    encoder: ExampleEncoder,
    config: LearnerConfig,
    *,
    carries_traces: Callable[[Domain], bool],
) -> Knowledge:
    """Knowledge as if the task had never been taught; unchanged where it is unknown.

    carries_traces: whether the prompts of a domain may have been trained beside the task's rows.
    """
    if task not in knowledge.tasks:
        return knowledge
    domains = [_without(knowledge, domain, task) for domain in knowledge.domains]
    rest = {name: known for name, known in knowledge.tasks.items() if name != task}
    if not rest:
        return Knowledge()
    knowledge = replace(
        knowledge, tasks=rest, domains=tuple(domain for domain in domains if domain.tasks)
    )
    for domain in knowledge.domains:
        if carries_traces(domain):
            knowledge = _without_prompts(knowledge, domain)
    return refit(knowledge, config, encoder)


def _without(knowledge: Knowledge, domain: Domain, task: str) -> Domain:
    """The domain as if the task had never been in it."""
    if task not in domain.tasks:
        return domain
    tasks = tuple(name for name in domain.tasks if name != task)
    statistics = _statistics_without(knowledge, domain, task) if tasks else None
    name = tasks[0] if tasks and domain.name == task else domain.name
    return replace(domain.stale(), name=name, tasks=tasks, statistics=statistics, fitted=None)


def _statistics_without(knowledge: Knowledge, domain: Domain, task: str) -> ClassStatistics | None:
    """The statistics of the domain's other tasks: exactly, to fp64 rounding.

    Where the task has examples that are kept no longer, their share of the scatter is unknown: then
    counts and means are exact and the pooled covariance stays.
    """
    known = knowledge.tasks[task]
    if domain.statistics is None:
        return None
    if len(known.examples.rows) == sum(known.examples.seen.values()):
        own = statistics_of(task, known.examples.rows, known.seen.features)
        return (domain.statistics - own).nonempty()
    others = knowledge.labels_of([name for name in domain.tasks if name != task])
    return domain.statistics.select(others)


def _without_prompts(knowledge: Knowledge, domain: Domain) -> Knowledge:
    tasks = {
        name: replace(known, prompt=None, upper=None, own=None, head=None)
        if name in domain.tasks
        else known
        for name, known in knowledge.tasks.items()
    }
    plain = [
        statistics_of(name, tasks[name].examples.rows, tasks[name].plain.features)
        for name in domain.tasks
    ]
    bare = replace(domain.stale(), prompt=None, taught=(), cooling=None, fitted=None)
    counted = replace(bare, statistics=sum(plain[1:], plain[0]))
    return replace(knowledge, tasks=tasks).with_domain(counted)
