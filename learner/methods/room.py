"""Room in a full queue: eviction at the start of a training."""

from __future__ import annotations

import numpy as np

from backbones import TrainableBackbone
from learner.errors import Unlearnable
from learner.eviction import RULES, EvictionContext, attention_error
from learner.eviction.attention import beside
from learner.methods.base import Lesson, MethodState
from learner.methods.config import QTuningConfig
from learner.methods.training import seed_of
from learner.queue import PromptQueue
from learner.rows import concat

QUERIES_PER_EXAMPLE = 4
"""A few of each kept example rather than many of a few."""


def make_room(
    lesson: Lesson, state: MethodState, config: QTuningConfig, backbone: TrainableBackbone
) -> tuple[PromptQueue, dict[str, str]]:
    """The queue with room for P rows, compressed to (C − 1)·P where it is full, and notes on it.

    `eviction` names the rule that really ran, `eviction_error` what it changed in the attention.
    Raises Unlearnable where the queue is full and nothing may be evicted.
    """
    capacity, queue = config.capacity_rows, state.queue
    keep = capacity - config.rows
    if len(queue) <= keep:
        return PromptQueue(queue.rows, queue.groups, capacity), {}
    if config.eviction == "none":
        raise Unlearnable(
            f"task {lesson.task!r} finds no room: capacity={config.capacity} tasks are learnt and "
            "eviction='none'; raise capacity or choose an eviction rule"
        )
    context = eviction_context(lesson, state, config, backbone)
    evicted = RULES[config.eviction](queue.rows, keep, context)
    notes = {"eviction": evicted.rule}
    if context.queries is not None:
        error = attention_error(queue.rows, evicted.rows, context.queries)
        notes["eviction_error"] = f"{error:.4f}"
    return PromptQueue.empty(queue.rows, capacity).compressed(evicted.rows), notes


def eviction_context(
    lesson: Lesson, state: MethodState, config: QTuningConfig, backbone: TrainableBackbone
) -> EvictionContext:
    """Queries of other tasks' kept rows under [P*; Q]; of this task's where none are kept.

    Queries of a single task serve almost as well (METHODS §2b). Token prompts have none.
    """
    seed = seed_of(lesson, "eviction")
    if config.form == "tokens":
        return EvictionContext(None, seed)
    source = lesson.memory if lesson.memory else lesson.inputs
    wanted = min(len(source), -(-config.eviction_queries // QUERIES_PER_EXAMPLE))
    chosen = np.random.default_rng(seed).permutation(len(source))[:wanted]
    prefix = concat([state.shared, state.queue.rows]).to_prefix()
    each = -(-config.eviction_queries // wanted)
    queries = backbone.queries(backbone.lower(source.select(chosen)), prefix, each, seed)
    return EvictionContext(beside(queries, state.shared), seed)
