"""The fast path: new examples into statistics, domains and heads, without training a prompt.

Everything here is a function from knowledge to knowledge; the encoder only remembers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from backbones import FloatArray
from learner.arrangement import arrange
from learner.config import LearnerConfig
from learner.content import class_id
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample, TaskExamples, per_class_limit
from learner.heads.auto import UNJUDGED_TEMPERATURES
from learner.heads.lda import fit_lda
from learner.heads.novelty import fit_novelty
from learner.heads.viewed import ViewedHead, fit_viewed
from learner.knowledge import Knowledge, TaskKnowledge
from learner.sight import Seen
from learner.statistics import ClassStatistics
from learner.view import LAST
from prompt_store import Batch


def learn_batch(knowledge: Knowledge, batch: Batch, encoder: ExampleEncoder) -> Knowledge:
    """Knowledge with one batch in its examples and statistics; nothing is refitted.

    Raises Unlearnable where the backbone cannot read an input.
    """
    known = knowledge.tasks.get(batch.task)
    before = known.examples if known is not None else TaskExamples(batch.task)
    examples = before.add(batch.id, batch.examples)
    fresh = examples.rows[len(before.rows) :]
    plain = encoder.plain(fresh)
    if known is None:
        return knowledge.with_task(batch.task, TaskKnowledge(examples, plain))
    domain = knowledge.placed(batch.task)
    prompt = None if domain is None else domain.prompt
    upper = None if prompt is None else encoder.upper(fresh, prompt)
    own = None if known.prompt is None else encoder.upper(fresh, known.prompt)
    task = replace(
        known,
        examples=examples,
        plain=Seen.concat([known.plain, plain]),
        upper=_joined(known.upper, upper),
        own=_joined(known.own, own),
        head=None,
    )
    knowledge = knowledge.with_task(batch.task, task)
    if domain is None:
        return knowledge
    added = statistics_of(batch.task, fresh, plain.features if upper is None else upper[:, -1])
    total = added if domain.statistics is None else domain.statistics + added
    return knowledge.with_domain(replace(domain.stale(), statistics=total))


def refit(
    knowledge: Knowledge,
    config: LearnerConfig,
    encoder: ExampleEncoder,
    busy: Collection[str] = (),
    *,
    afresh: bool = False,
) -> Knowledge:
    """Knowledge with kept examples within their limits, tasks in domains, and heads on them.

    busy: tasks whose prompts are undecided; they keep their examples until then.
    afresh: domains are found from nothing, whatever they were.
    """
    arranged = arrange(knowledge, config, encoder, afresh=afresh)
    knowledge = _within_limits(arranged, config, busy)
    domains = tuple(
        domain if domain.head is not None else _fitted(domain, knowledge, config)
        for domain in knowledge.domains
    )
    tasks = {name: _with_head(name, knowledge, config) for name in knowledge.tasks}
    return replace(knowledge, domains=domains, tasks=tasks, metrics=_metrics(domains))


def statistics_of(task: str, rows: Sequence[KeptExample], features: FloatArray) -> ClassStatistics:
    """The statistics of some rows of one task."""
    classes = sorted({row.label for row in rows})
    targets = np.array([classes.index(row.label) for row in rows], dtype=np.int64)
    return ClassStatistics.of(features, targets, [class_id(task, label) for label in classes])


def _within_limits(knowledge: Knowledge, config: LearnerConfig, busy: Collection[str]) -> Knowledge:
    if config.retain == "all":
        return knowledge
    limit = per_class_limit(
        len(knowledge.labels), per_class=config.keep_per_class, total=config.keep_total
    )
    for name, task in knowledge.tasks.items():
        nothing = config.retain == "none" and name not in busy
        examples, indices = task.examples.keep(0 if nothing else limit)
        if len(indices) < len(task.examples.rows):
            knowledge = knowledge.with_task(name, task.take(indices, examples))
            knowledge = knowledge.with_domain(knowledge.domain_of(name).stale())
    return knowledge


def _fitted(domain: Domain, knowledge: Knowledge, config: LearnerConfig) -> Domain:
    labels = knowledge.labels_of(domain.tasks)
    if not all(knowledge.tasks[name].examples.rows for name in domain.tasks):
        return _fitted_on_statistics(domain, labels)
    seen, targets = knowledge.seen(domain), knowledge.targets(domain)
    fitted = fit_viewed(
        seen, targets, labels, config.head, warm=domain.fitted, judges=_judges(domain, knowledge)
    )
    kept = ClassStatistics.of(seen.features, targets, labels)
    novelty = fit_novelty(seen.features, targets, kept)
    head = fitted.head if domain.cooling is None else fitted.head.cooled(domain.cooling)
    return replace(domain, head=head, fitted=fitted, novelty=novelty)


def _fitted_on_statistics(domain: Domain, labels: Sequence[str]) -> Domain:
    """Where examples are gone: LDA on the last layer, its temperature the usual one."""
    assert domain.statistics is not None, "what was learnt was counted"
    solved = fit_lda(domain.statistics.select(labels))
    head = ViewedHead((LAST,), (replace(solved, temperature=UNJUDGED_TEMPERATURES["lda"]),))
    return replace(domain, head=head, fitted=None, novelty=None)


def _judges(domain: Domain, knowledge: Knowledge) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,) rows that may say how good a head is: under a prompt those it was not trained on.

    Where it was trained on all of them, all may, and the head is cooled afterwards.
    """
    held = np.concatenate([knowledge.tasks[name].held_out for name in domain.tasks])
    all_of_them = domain.prompt is None or domain.cooling is not None or not held.any()
    return np.ones_like(held) if all_of_them else held


def _with_head(name: str, knowledge: Knowledge, config: LearnerConfig) -> TaskKnowledge:
    task = knowledge.tasks[name]
    if task.own is None or task.head is not None:
        return task
    held = task.held_out
    judges = held if held.any() else np.ones_like(held)
    labels = knowledge.labels_of([name])
    fitted = fit_viewed(task.seen_alone, task.targets, labels, config.head, judges=judges)
    return replace(task, head=fitted.head)


def _joined(before: FloatArray | None, added: FloatArray | None) -> FloatArray | None:
    return None if before is None or added is None else np.concatenate([before, added])


def _metrics(domains: Sequence[Domain]) -> dict[str, float | str]:
    """How the heads were chosen: of one domain its values, of several each under its name."""
    metrics: dict[str, float | str] = {}
    for domain in domains:
        fitted, tail = domain.fitted, "" if len(domains) == 1 else f"/{domain.name}"
        if fitted is None:
            continue
        metrics |= {f"head{tail}": fitted.chosen, f"view{tail}": fitted.view}
        if fitted.quality is not None:
            metrics[f"head_accuracy{tail}"] = round(fitted.quality.accuracy, 4)
            metrics[f"head_ece{tail}"] = round(fitted.quality.ece, 4)
    return metrics
