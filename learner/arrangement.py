"""Which tasks share a domain: asked whenever a task is new, answered by what the backbone sees.

Domains that split or merge keep the prompt under which most of their rows are known; rows that
come under another prompt are encoded anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from learner.arrays import FloatArray
from learner.config import LearnerConfig
from learner.domain import ALL, Domain
from learner.domains import Partition, TaskRows, fit_router, place
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample, spread_over
from learner.knowledge import Knowledge, TaskKnowledge
from learner.statistics import ClassStatistics


def arrange(
    knowledge: Knowledge, config: LearnerConfig, encoder: ExampleEncoder, *, afresh: bool = False
) -> Knowledge:
    """Every task in a domain, and a router where there are several.

    A task without a domain is placed; all others may be arranged anew by that. afresh: domains are
    found from nothing, whatever they were.
    """
    placed = {name for domain in knowledge.domains for name in domain.tasks}
    groups = tuple(domain.tasks for domain in knowledge.domains)
    if not config.routes:
        whole = (tuple(knowledge.tasks),) if knowledge.tasks else ()
        return replace(_regrouped(knowledge, whole, config, encoder), arrangement=None)
    if afresh or knowledge.tasks.keys() != placed:
        current = Partition(() if afresh else groups)
        partition = place(_rows(knowledge, encoder), current, config.declared_domains)
        knowledge = _regrouped(knowledge, partition.domains, config, encoder)
        knowledge = replace(knowledge, arrangement=partition.report)
    return _routed(knowledge, config.rough_rows, encoder)


def _rows(knowledge: Knowledge, encoder: ExampleEncoder) -> dict[str, TaskRows]:
    first = encoder.description.first_prompted
    return {
        name: TaskRows(task.plain.states, task.targets, first + 1)
        for name, task in knowledge.tasks.items()
    }


def _regrouped(
    knowledge: Knowledge,
    groups: Sequence[tuple[str, ...]],
    config: LearnerConfig,
    encoder: ExampleEncoder,
) -> Knowledge:
    """The domains of these groups; those that did not change are the same objects."""
    known = {domain.tasks: domain for domain in knowledge.domains}
    domains: list[Domain] = []
    for group in groups:
        if group not in known:
            prompted = _inherited(knowledge, group)
            name = group[0] if config.routes else ALL
            tasks = {task: _under(knowledge, task, prompted, encoder) for task in group}
            knowledge = replace(knowledge, tasks={**knowledge.tasks, **tasks})
            domains.append(_domain(name, group, prompted, knowledge))
        else:
            domains.append(known[group])
    return replace(knowledge, domains=tuple(domains))


def _inherited(knowledge: Knowledge, group: tuple[str, ...]) -> Domain:
    """The domain most of the group's examples come from, one with a prompt first; else none."""

    def rows(domain: Domain) -> tuple[bool, int]:
        shared = [task for task in domain.tasks if task in group]
        learnt = sum(sum(knowledge.tasks[task].examples.seen.values()) for task in shared)
        return (domain.prompt is not None and bool(shared), learnt)

    best = max(knowledge.domains, key=rows, default=None)
    return best if best is not None and rows(best)[1] else Domain(group[0], ())


def _under(
    knowledge: Knowledge, name: str, source: Domain, encoder: ExampleEncoder
) -> TaskKnowledge:
    """A task as it is seen under a domain's prompt."""
    task = knowledge.tasks[name]
    if name in source.tasks:
        return task
    prompt = source.prompt
    return replace(
        task, upper=None if prompt is None else encoder.upper(task.examples.rows, prompt)
    )


def _domain(name: str, group: tuple[str, ...], source: Domain, knowledge: Knowledge) -> Domain:
    """A group of tasks under the prompt it inherits, its head still to be fitted.

    Statistics go on from the source's where the group only grew; else they are those of what the
    tasks keep.
    """
    grew = set(source.tasks) <= set(group) and source.statistics is not None
    counted = source.tasks if grew else ()
    parts = [_statistics(knowledge, task) for task in group if task not in counted]
    if grew and source.statistics is not None:
        parts.insert(0, source.statistics)
    total = sum(parts[1:], parts[0]) if parts else None
    return Domain(
        name,
        group,
        source.prompt,
        source.taught,
        source.cooling,
        statistics=total,
        fitted=source.fitted,
    )


def _statistics(knowledge: Knowledge, name: str) -> ClassStatistics:
    task = knowledge.tasks[name]
    return ClassStatistics.of(task.seen.features, task.targets, knowledge.labels_of([name]))


def _routed(knowledge: Knowledge, rough_rows: int, encoder: ExampleEncoder) -> Knowledge:
    """With a router fitted anew, where there are several domains.

    rough_rows: about so many rows of all tasks together it also sees in worse quality
    """
    if len(knowledge.domains) < 2:
        return replace(knowledge, router=None)
    first = encoder.description.first_prompted
    share = -(-rough_rows // len(knowledge.tasks))

    def seen(domain: Domain) -> list[FloatArray]:
        tasks = [knowledge.tasks[name] for name in domain.tasks]
        rough = (encoder.rough(spread_over(_classes(task), share)) for task in tasks)
        plain = [task.plain.lower(first) for task in tasks]
        return plain + [states for states in rough if states is not None]

    return replace(knowledge, router=fit_router([seen(domain) for domain in knowledge.domains]))


def _classes(task: TaskKnowledge) -> list[list[KeptExample]]:
    rows: dict[str, list[KeptExample]] = {label: [] for label in task.examples.labels}
    for row in task.examples.rows:
        rows[row.label].append(row)
    return list(rows.values())
