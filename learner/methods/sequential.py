"""One prompt, trained on from task to task: the baseline that forgets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from backbones import Description, TrainableBackbone
from learner.arrays import IntArray
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.config import SequentialConfig
from learner.methods.training import objective_of, random_rows, recipe_of, seed_of
from learner.optimise import ParameterGroup, optimise
from learner.prompted import prompted_inputs
from learner.tensor_rows import TensorRows


@dataclass(frozen=True)
class Sequential:
    """The aggregate is the prompt; a task's snapshot is what it was after the task."""

    config: SequentialConfig = field(default_factory=SequentialConfig)
    name: str = "sequential"

    @property
    def digest(self) -> str:
        """Of the config."""
        return self.config.digest()

    def start(self, description: Description) -> MethodState:
        """No prompt yet."""
        return blank(self.name, no_rows(description, self.config.form))

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """Train the one prompt on; the first task starts it at random."""
        config, inputs = self.config, prompted_inputs(lesson, self.config.form, backbone)
        seed = seed_of(lesson, "rows")
        start = state.served or random_rows(config.rows, backbone.description, config, seed)
        prompt = TensorRows.of(start, inputs.device)
        prompt.values.requires_grad_()
        objective = objective_of(lesson, config, inputs, start)

        def loss(index: IntArray) -> Tensor:
            return objective.loss(inputs.features(prompt, index), index)

        groups = [
            ParameterGroup([prompt.values], config.rate),
            ParameterGroup(objective.parameters(), config.head_learning_rate),
        ]
        last = optimise(loss, groups, inputs.lengths, recipe_of(lesson, config), report)
        served = prompt.rows()
        kept = {**state.kept, lesson.task: served}
        return replace(state, served=served, kept=kept, notes={"loss": f"{last:.4f}"})
