"""Forgetting a task, a class or examples: exactly from examples, statistics and heads; from prompts
by dropping them.

What is left equals what the remaining examples alone lead to, learnt at once: also the domains they
fall into and the router between these. Statistics lose what examples that are kept have added.
Where something forgotten is kept no longer, they are counted anew from what is kept; and where
nothing is kept (`retain="none"`), a class's counts and means go, but the pooled spread that it
shared stays.

A prompt that was trained beside another's rows carries traces of them. So the prompt of the
forgotten rows' domain goes, and with a method whose prompts are trained on one another (Q-tuning's
shared prefix) all of them: what is left is served by the frozen backbone, and prompts begin anew
with the next training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from learner.config import LearnerConfig
from learner.domain import ALL, Domain
from learner.encoding import ExampleEncoder
from learner.expression import express
from learner.knowledge import Knowledge, TaskKnowledge
from learner.refresh import statistics_of
from learner.statistics import ClassStatistics
from prompt_store import Batch, Erasure


@dataclass(frozen=True, eq=False)
class Forgotten:
    """What is left, with heads still to be fitted, and what went, in numbers.

    exact: whether no statistic holds anything of what went.
    """

    knowledge: Knowledge
    examples: int = 0
    classes: int = 0
    prompts: int = 0
    exact: bool = True


def is_for(erasure: Erasure, batch: Batch) -> bool:
    """Whether a batch that waits may teach what was to be forgotten when it came."""
    return batch.task == erasure.task and batch.received_at <= erasure.asked_at


def spared(batch: Batch, erasure: Erasure) -> Batch:
    """A batch without what it shall not teach; without examples where that is all of them."""
    rest = tuple(one for one in batch.examples if not erasure.covers(one.label, one.id))
    return batch.model_copy(update={"examples": rest})


def passed_over(batch: Batch, erasure: Erasure) -> int:
    """How many examples of a batch shall not be taught."""
    return len(batch.examples) - len(spared(batch, erasure).examples)


def report(
    gone: Forgotten, erasure: Erasure, before: Knowledge, waiting: Sequence[Batch]
) -> dict[str, float | int | str]:
    """What went, in numbers, for the manifest: no label and no id.

    before, waiting: what was known, and the batches that were not learnt yet.
    """
    known = before.tasks.get(erasure.task)
    ids = {row.id for row in known.examples.rows} if known else set()
    ids |= {one.id for batch in waiting for one in batch.examples}
    return {
        "erasure": erasure.id,
        "examples": gone.examples + sum(passed_over(batch, erasure) for batch in waiting),
        "not_found": len(set(erasure.examples) - ids),
        "classes": gone.classes,
        "prompts_dropped": gone.prompts,
        "exact": int(gone.exact),
    }


def forget(
    knowledge: Knowledge,
    erasure: Erasure,
    encoder: ExampleEncoder,
    config: LearnerConfig,
    *,
    carries_traces: Callable[[Domain], bool],
) -> Forgotten:
    """Knowledge as if what the request covers had never been taught; unchanged where it was not.

    carries_traces: whether the prompts of a domain may have been trained beside the task's rows.
    """
    known = knowledge.tasks.get(erasure.task)
    if known is None:
        return Forgotten(knowledge)
    rest, gone = _parts(known, erasure, config)
    examples = _seen(known) - _seen(rest)
    if not examples:
        return Forgotten(knowledge)
    left, exact = _without(knowledge, erasure.task, rest, gone)
    for domain in left.domains:
        if carries_traces(domain):
            left, counted = _without_prompts(left, domain, encoder)
            exact = exact and counted
    classes = len(knowledge.labels) - len(left.labels)
    prompts = len(_prompts(knowledge) - _prompts(left))
    return Forgotten(left, examples, classes, prompts, exact)


def _parts(
    known: TaskKnowledge, erasure: Erasure, config: LearnerConfig
) -> tuple[TaskKnowledge, TaskKnowledge]:
    """What stays of a task, and the rows that go. A class whose last kept row goes, goes too."""
    rows = known.examples.rows
    covered = {i for i, row in enumerate(rows) if erasure.covers(row.label, row.id)}
    if erasure.label is not None:
        labels = {erasure.label}
    elif not erasure.examples:
        labels = set(known.examples.labels)
    elif config.retain == "none":
        labels = set()
    else:
        stays = {row.label for i, row in enumerate(rows) if i not in covered}
        labels = {rows[i].label for i in covered} - stays
    examples, stay = known.examples.without(covered, labels)
    going = sorted(set(range(len(rows))) - set(stay))
    gone = replace(known.examples, rows=tuple(rows[i] for i in going))
    return known.take(stay, examples), known.take(going, gone)


def _seen(task: TaskKnowledge) -> int:
    return sum(task.examples.seen.values())


def _prompts(knowledge: Knowledge) -> set[str]:
    """The digests of all prompts that serve."""
    prompts = [domain.prompt for domain in knowledge.domains]
    prompts += [task.prompt for task in knowledge.tasks.values()]
    return {prompt.digest for prompt in prompts if prompt is not None}


def _without(
    knowledge: Knowledge, task: str, rest: TaskKnowledge, gone: TaskKnowledge
) -> tuple[Knowledge, bool]:
    """Knowledge with the rest in the place of a task; whether its statistics are exact."""
    complete = len(gone.examples.rows) == _seen(knowledge.tasks[task]) - _seen(rest)
    domain = knowledge.placed(task)
    tasks = {**knowledge.tasks, task: rest}
    if not rest.examples.seen:
        del tasks[task]
    knowledge = replace(knowledge, tasks=tasks)
    if domain is None:
        return knowledge, True
    names = tuple(name for name in domain.tasks if name in tasks)
    if not names:
        others = tuple(one for one in knowledge.domains if one is not domain)
        return replace(knowledge, domains=others), True
    name = domain.name if domain.name in (*names, ALL) else names[0]
    left = replace(domain.stale(), name=name, tasks=names, fitted=None)
    lost = statistics_of(task, gone.examples.rows, gone.seen.features)
    statistics, exact = _statistics(knowledge, left, lost, complete)
    counted = replace(left, statistics=statistics)
    domains = tuple(counted if one is domain else one for one in knowledge.domains)
    return replace(knowledge, domains=domains), exact


def _statistics(
    knowledge: Knowledge, domain: Domain, lost: ClassStatistics, complete: bool
) -> tuple[ClassStatistics | None, bool]:
    """A domain's statistics without those of lost rows, and whether nothing of these is left.

    complete: whether the rows are all that went. Under a prompt more may hold on to them: the map
    that moved the statistics of examples that are kept no longer was fitted on them.
    """
    labels = knowledge.labels_of(domain.tasks)
    if domain.statistics is None:
        return None, True
    if (complete and domain.prompt is None) or not _keeps_all(knowledge, domain):
        left = (domain.statistics - lost).select(labels)
        return left, complete and domain.prompt is None
    rows, targets = knowledge.seen(domain).features, knowledge.targets(domain)
    return ClassStatistics.of(rows, targets, labels), True


def _keeps_all(knowledge: Knowledge, domain: Domain) -> bool:
    """Whether examples of every class of a domain are kept."""
    tasks = [knowledge.tasks[name].examples for name in domain.tasks]
    return all(set(task.labels) == {row.label for row in task.rows} for task in tasks)


def _without_prompts(
    knowledge: Knowledge, domain: Domain, encoder: ExampleEncoder
) -> tuple[Knowledge, bool]:
    """A domain as the frozen backbone sees it; whether its statistics are those of kept rows."""
    tasks = {
        name: replace(known, prompt=None, own=None, head=None) if name in domain.tasks else known
        for name, known in knowledge.tasks.items()
    }
    knowledge = replace(knowledge, tasks=tasks)
    if domain.prompt is None:
        return knowledge, True
    kept = _keeps_all(knowledge, domain)
    counted = replace(domain, statistics=None) if kept else domain
    return express(knowledge, counted, None, encoder), kept
