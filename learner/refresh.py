"""The fast path: new examples into statistics and heads, without touching a prompt.

Everything here is a pure function from knowledge to knowledge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backbones import Backbone, Bank, FloatArray, Input, Prefix
from learner.config import LearnerConfig
from learner.content import class_id
from learner.errors import Unlearnable
from learner.examples import KeptExample, TaskExamples, per_class_limit
from learner.heads.auto import FittedHead, fit_head
from learner.heads.novelty import fit_novelty
from learner.knowledge import Knowledge, TaskKnowledge
from learner.statistics import ClassStatistics
from prompt_store import Batch


def learn_batch(knowledge: Knowledge, batch: Batch, backbone: Backbone) -> Knowledge:
    """Knowledge with one batch in its examples, features and statistics; heads are not refitted.

    Raises Unlearnable where the backbone cannot read an input.
    """
    known = knowledge.tasks.get(batch.task)
    before = known.examples if known is not None else TaskExamples(batch.task)
    examples = before.add(batch.id, batch.examples)
    fresh = examples.rows[len(before.rows) :]
    features = see(backbone, fresh, knowledge.aggregate)
    if known is None:
        task = TaskKnowledge(examples, features)
    else:
        prompted = None
        if known.prompt is not None and known.prompted is not None:
            prompted = np.concatenate([known.prompted, see(backbone, fresh, known.prompt)])
        task = replace(
            known,
            examples=examples,
            features=np.concatenate([known.seen, features]),
            prompted=prompted,
            head=None,
        )
    added = statistics_of(batch.task, fresh, features)
    statistics = added if knowledge.statistics is None else knowledge.statistics + added
    return replace(knowledge.with_task(batch.task, task), statistics=statistics)


def refit(knowledge: Knowledge, config: LearnerConfig) -> Knowledge:
    """Knowledge with kept examples within their limits and every head fitted on them."""
    knowledge = _within_limits(knowledge, config)
    labels, features, targets = knowledge.labels, knowledge.features, knowledge.targets
    fitted = fit_head(features, targets, labels, config.head)
    statistics = ClassStatistics.of(features, targets, labels)
    tasks = {name: _with_head(task, config) for name, task in knowledge.tasks.items()}
    return replace(
        knowledge,
        tasks=tasks,
        flat=fitted.head,
        novelty=fit_novelty(features, targets, statistics),
        head_report=_report(fitted),
    )


def see(backbone: Backbone, rows: Sequence[KeptExample], prefix: Prefix | None) -> FloatArray:
    """Features (N, D) of kept examples under one prefix (None: the plain backbone)."""
    try:
        inputs = backbone.preprocess([Input(text=r.text, text_pair=r.text_pair) for r in rows])
    except ValueError as error:
        raise Unlearnable(str(error)) from error
    bank = None if prefix is None else Bank.stack([prefix])
    return backbone.encode(inputs, bank)


def statistics_of(task: str, rows: Sequence[KeptExample], features: FloatArray) -> ClassStatistics:
    """The statistics of some rows of one task."""
    classes = sorted({row.label for row in rows})
    targets = np.array([classes.index(row.label) for row in rows], dtype=np.int64)
    return ClassStatistics.of(features, targets, [class_id(task, label) for label in classes])


def _within_limits(knowledge: Knowledge, config: LearnerConfig) -> Knowledge:
    limit = per_class_limit(
        len(knowledge.labels), per_class=config.keep_per_class, total=config.keep_total
    )
    tasks = dict(knowledge.tasks)
    for name, task in tasks.items():
        examples, indices = task.examples.keep(limit)
        if len(indices) < len(task.examples.rows):
            tasks[name] = task.take(indices, examples)
    return replace(knowledge, tasks=tasks)


def _with_head(task: TaskKnowledge, config: LearnerConfig) -> TaskKnowledge:
    if task.prompted is None or task.head is not None:
        return task
    fitted = fit_head(task.prompted, task.targets, task.examples.labels, config.head)
    return replace(task, head=fitted.head)


def _report(fitted: FittedHead) -> dict[str, float | str]:
    quality = fitted.quality
    if quality is None:
        return {"head": fitted.chosen}
    return {
        "head": fitted.chosen,
        "head_accuracy": round(quality.accuracy, 4),
        "head_ece": round(quality.ece, 4),
    }
