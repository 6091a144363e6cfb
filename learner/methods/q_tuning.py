"""Q-tuning, after Guo et al. 2024 (arXiv 2404.14607): a bounded queue of task prompts.

Task i trains its own rows P_i beside the frozen rows of earlier tasks, a shared prefix P* and a
fresh reweighing W; the backbone sees [P*; W ∘ [Q; P_i]]. A full queue is compressed first.
docs/q_tuning.md says which of it is published and which is our choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from backbones import Description, TrainableBackbone
from learner.arrays import IntArray
from learner.losses import Objective
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import QTuningConfig
from learner.methods.queue_prompt import QueuePrompt
from learner.methods.room import make_room
from learner.methods.training import objective_of, random_rows, recipe_of, seed_of
from learner.optimise import ParameterGroup, optimise
from learner.prompted import PromptedInputs, prompted_inputs
from learner.queue import PromptQueue
from learner.retention import Retention
from learner.rows import Rows, concat


@dataclass(frozen=True)
class QTuning:
    """The method; every task costs the same, however many came before."""

    config: QTuningConfig = field(default_factory=QTuningConfig)
    name: str = "q-tuning"

    @property
    def digest(self) -> str:
        """Of the config."""
        return self.config.digest()

    def start(self, description: Description) -> MethodState:
        """Nothing shared, an empty queue."""
        return blank(self.name, no_rows(description, self.config.form), self.config.capacity_rows)

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """One task: make room, train, fold, take the snapshot."""
        config = self.config
        inputs = prompted_inputs(lesson, config.form, backbone, config.views)
        queue, notes = self._queue_to_train(lesson, state, backbone)
        shared = self._shared(lesson, state, backbone.description)
        seed = seed_of(lesson, "network")
        prompt = QueuePrompt(shared, queue, lesson.task, config, seed=seed, device=inputs.device)
        objective = objective_of(lesson, config, inputs, concat([shared, queue.rows]))
        retention = self._retention(lesson, state, inputs)
        groups = prompt.groups() + self._other_groups(objective, retention)
        loss = _loss(inputs, prompt, objective, retention, config.retention)
        last = optimise(loss, groups, inputs.lengths, recipe_of(lesson, config), report)
        return _next_state(state, lesson.task, prompt, {**notes, "loss": f"{last:.4f}"})

    def _queue_to_train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone
    ) -> tuple[PromptQueue, dict[str, str]]:
        """The queue with the rows the task starts from: its own of last time, or fresh ones."""
        if state.queue.owns(lesson.task):
            return state.queue, {"rows": "warm"}
        queue, notes = make_room(lesson, state, self.config, backbone)
        seed = seed_of(lesson, "rows")
        rows = random_rows(self.config.rows, backbone.description, self.config, seed)
        return queue.enqueue(lesson.task, rows), {"rows": "fresh", **notes}

    def _shared(self, lesson: Lesson, state: MethodState, description: Description) -> Rows:
        """P* as the last task left it; random before the first."""
        if len(state.shared) == self.config.shared_rows:
            return state.shared
        seed = seed_of(lesson, "shared")
        return random_rows(self.config.shared_rows, description, self.config, seed)

    def _retention(
        self, lesson: Lesson, state: MethodState, inputs: PromptedInputs
    ) -> Retention | None:
        """The memory term; the first task has nothing to retain."""
        if self.config.retention == 0 or len(state.served) == 0:
            return None
        old, seed = inputs.encode(state.served), seed_of(lesson, "critic")
        return Retention(old, hidden=self.config.critic_width, seed=seed, device=inputs.device)

    def _other_groups(
        self, objective: Objective, retention: Retention | None
    ) -> list[ParameterGroup]:
        critic = [] if retention is None else retention.parameters()
        return [
            ParameterGroup(objective.parameters(), self.config.head_learning_rate),
            ParameterGroup(critic, self.config.critic_rate),
        ]


def _loss(
    inputs: PromptedInputs,
    prompt: QueuePrompt,
    objective: Objective,
    retention: Retention | None,
    weight: float,
) -> Callable[[IntArray], Tensor]:
    """CE − η·I on a batch of rows; I only where there is something to retain."""

    def loss(index: IntArray) -> Tensor:
        features = inputs.features(prompt.whole(), index)
        value = objective.loss(features, index)
        if retention is None:
            return value
        alone = inputs.features(prompt.shared(), index)
        return value - weight * retention.information(alone, index)

    return loss


def _next_state(
    state: MethodState, task: str, prompt: QueuePrompt, notes: dict[str, str]
) -> MethodState:
    """The trained prompt folded: the new aggregate is also the task's snapshot."""
    shared, queue, weights = prompt.result()
    served = concat([shared, queue.rows if weights is None else weights.fold(queue.rows)])
    return replace(
        state,
        served=served,
        kept={**state.kept, task: served},
        shared=shared,
        queue=queue,
        reweighing=weights,
        notes=notes,
    )
