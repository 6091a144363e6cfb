"""Forgetting a task: exactly from examples, statistics and heads; from prompts by dropping them.

A prompt that was trained beside another's rows carries traces of them, and the shared prefix is
trained on through all tasks. So where the forgotten task has ever trained a prompt, all prompts go:
what is left is served by the frozen backbone, and prompts begin anew with the next training.
"""

from __future__ import annotations

from dataclasses import replace

from backbones import TrainableBackbone
from learner.config import LearnerConfig
from learner.knowledge import Knowledge, TaskKnowledge
from learner.refresh import refit, statistics_of
from learner.statistics import ClassStatistics
from learner.training import reexpress


def forget_task(
    knowledge: Knowledge,
    task: str,
    backbone: TrainableBackbone,
    config: LearnerConfig,
    *,
    drop_prompts: bool,
) -> Knowledge:
    """Knowledge as if the task had never been taught; unchanged where it is unknown."""
    if task not in knowledge.tasks:
        return knowledge
    rest = {name: known for name, known in knowledge.tasks.items() if name != task}
    statistics = _without(knowledge, task)
    remaining = replace(knowledge, tasks=rest, statistics=statistics)
    if drop_prompts:
        remaining = _without_prompts(remaining, backbone)
    if not rest:
        return Knowledge()
    return refit(remaining, config)


def _without(knowledge: Knowledge, task: str) -> ClassStatistics | None:
    """The statistics of the other tasks: exactly, to fp64 rounding.

    Where the task has examples that are kept no longer, their share is unknown: then the
    statistics are those of what the other tasks keep.
    """
    known = knowledge.tasks[task]
    if knowledge.statistics is None:
        return None
    if len(known.examples.rows) == sum(known.examples.seen.values()):
        own = statistics_of(task, known.examples.rows, known.seen)
        return (knowledge.statistics - own).nonempty()
    others = [
        statistics_of(name, other.examples.rows, other.seen)
        for name, other in knowledge.tasks.items()
        if name != task
    ]
    return sum(others[1:], others[0]) if others else None


def _without_prompts(knowledge: Knowledge, backbone: TrainableBackbone) -> Knowledge:
    tasks: dict[str, TaskKnowledge] = {
        name: replace(known, prompt=None, prompted=None, head=None)
        for name, known in knowledge.tasks.items()
    }
    plain = replace(knowledge, tasks=tasks)
    return plain if plain.aggregate is None else reexpress(plain, None, backbone)
