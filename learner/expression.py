"""Known examples under other prompts: what changes where a prompt does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backbones import FloatArray, Prefix
from learner.arrays import DoubleArray
from learner.domain import Domain
from learner.encoding import ExampleEncoder
from learner.knowledge import Knowledge
from learner.statistics import ClassStatistics

DRIFT_PENALTY = 1.0
"""λ of the drift map, in units of the mean squared spread of a direction. With the rows of some
classes, classes that are gone are met best by 1 to 3, of texts and of images (docs/learner.md)."""


def express(
    knowledge: Knowledge, domain: Domain, prompt: Prefix | None, encoder: ExampleEncoder
) -> Knowledge:
    """All kept examples of a domain as they are seen under a new prompt, and their statistics.

    Statistics of examples that are no longer kept are moved by a drift map.
    """
    before = knowledge.seen(domain).features
    targets, labels = knowledge.targets(domain), knowledge.labels_of(domain.tasks)
    for name in domain.tasks:
        task = knowledge.tasks[name]
        upper = None if prompt is None else encoder.upper(task.examples.rows, prompt)
        knowledge = knowledge.with_task(name, replace(task, upper=upper))
    after = knowledge.seen(domain).features
    statistics = ClassStatistics.of(after, targets, labels)
    gone = _gone(domain, ClassStatistics.of(before, targets, labels))
    if gone is not None:
        statistics = statistics + gone.affine(*drift_map(before, after))
    taught = () if prompt is None else domain.taught
    cooling = None if prompt is None else domain.cooling
    bare = replace(domain.stale(), prompt=prompt, taught=taught, cooling=cooling, fitted=None)
    return knowledge.with_domain(replace(bare, statistics=statistics))


def _gone(domain: Domain, kept: ClassStatistics) -> ClassStatistics | None:
    """The statistics of the domain's examples that are no longer kept; None where all are."""
    if domain.statistics is None or domain.statistics.total == kept.total:
        return None
    return (domain.statistics - kept).nonempty()


def drift_map(before: FloatArray, after: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """M (D, D) and t (D,) with `before` M + t close to `after`, both (N, D): METHODS §5.3.

    Ridge regression towards the identity: argmin |(Z − z̄)(M − I) − (Δ − δ̄)|² + λ |M − I|², with
    Δ = after − before. Few rows move little; without rows nothing moves.
    """
    width = before.shape[1]
    if not len(before):
        return np.eye(width), np.zeros(width)
    rows, moved = before.astype(np.float64), (after - before).astype(np.float64)
    mean, shift = rows.mean(axis=0), moved.mean(axis=0)
    centred = rows - mean
    gram = centred.T @ centred
    penalty = DRIFT_PENALTY * np.trace(gram) / width + 1e-9
    change = np.linalg.solve(gram + penalty * np.eye(width), centred.T @ (moved - shift))
    return np.eye(width) + change, shift - mean @ change


def see_own(knowledge: Knowledge, encoder: ExampleEncoder) -> Knowledge:
    """Features under a task's own prompt wherever they are missing."""
    tasks = {
        name: replace(task, own=encoder.upper(task.examples.rows, task.prompt), head=None)
        if task.prompt is not None and task.own is None
        else task
        for name, task in knowledge.tasks.items()
    }
    return replace(knowledge, tasks=tasks)
