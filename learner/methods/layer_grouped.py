"""Layer-grouped prompts, after HLGP (Jiang et al. 2025, arXiv 2511.12090).

One root prompt a task; a generator for each group of layers makes that group's sub-prompt of it; a
position term tells the layers of a group apart. docs/layer_grouped.md says what is published and
what is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from backbones import Description, TrainableBackbone
from learner.arrays import FloatArray, IntArray
from learner.methods.base import Lesson, MethodState, Progress, blank, no_rows
from learner.methods.combination import mean
from learner.methods.config import LayerGroupedConfig
from learner.methods.generator import fresh_generator, has_shape_of
from learner.methods.group_prompt import ROOT, GroupPrompt
from learner.methods.layers import group_of_layers, position_term
from learner.methods.training import objective_of, recipe_of, seed_of
from learner.optimise import ParameterGroup, optimise
from learner.prompted import prompted_inputs
from learner.rows import Rows


@dataclass(frozen=True)
class LayerGrouped:
    """The method; `extra` holds the last task's root and generator, the next one's start.

    `sum`: a task trains what it adds to the aggregate, and its snapshot is the aggregate then.
    `mean`, `matched`: a task trains alone, its snapshot is its own prompt, and the aggregate is the
    mean of all; weights by input are for evaluation (`learner.methods.combination`).
    """

    config: LayerGroupedConfig = field(default_factory=LayerGroupedConfig)
    name: str = "layer-grouped"

    @property
    def digest(self) -> str:
        """Of the config."""
        return self.config.digest()

    def start(self, description: Description) -> MethodState:
        """No prompt yet. Raises ValueError where the backbone has fewer layers than groups."""
        self.config.groups_of(description.prompted_layers)
        return blank(self.name, no_rows(description, self.config.form))

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """One task: start from the last one's root, train, materialise, combine."""
        config, description = self.config, backbone.description
        inputs = prompted_inputs(lesson, config.form, backbone, config.views)
        start, notes = self._start(lesson, state, description)
        groups = config.groups_of(description.prompted_layers)
        group_of = group_of_layers(description.prompted_layers, groups)
        fixed = self._fixed(state, description)
        prompt = GroupPrompt(start, group_of, fixed, config, device=inputs.device)
        objective = objective_of(lesson, config, inputs, prompt.rows().rows())

        def loss(index: IntArray) -> Tensor:
            return objective.loss(inputs.features(prompt.rows(), index), index)

        head = ParameterGroup(objective.parameters(), config.head_learning_rate)
        recipe = recipe_of(lesson, config)
        last = optimise(loss, [*prompt.groups(), head], inputs.lengths, recipe, report)
        notes["loss"] = f"{last:.4f}"
        return self._next_state(state, lesson.task, prompt, notes)

    def _start(
        self, lesson: Lesson, state: MethodState, description: Description
    ) -> tuple[dict[str, FloatArray], dict[str, str]]:
        """Root and generator to train on from; those of another shape are not gone on from."""
        config = self.config
        groups = config.groups_of(description.prompted_layers)
        shape = (1 if config.generator else groups, 2, config.rows, description.attention_width)
        noise = np.random.default_rng(seed_of(lesson, "root")).standard_normal(shape, np.float32)
        start = {ROOT: np.float32(config.scale) * noise}
        if config.generator:
            seed = seed_of(lesson, "generator")
            width = description.attention_width
            start |= fresh_generator(groups, width, config.generator_width, seed)
        if config.warm_start and has_shape_of(state.extra, start):
            return {name: state.extra[name] for name in start}, {"root": "warm"}
        return start, {"root": "fresh"}

    def _fixed(self, state: MethodState, description: Description) -> FloatArray:
        """What every layer's prompt is added to: the position term, in a sum all earlier tasks too.

        The aggregate holds the position term already, so that it counts once however many tasks.
        """
        if self.config.combination != "sum" or not state.served:
            return position_term(description, self.config.position)
        if len(state.served) != self.config.rows:
            raise ValueError(
                f"rows={self.config.rows}, but the prompts summed so far have {len(state.served)}: "
                f"set rows={len(state.served)} or combination='mean'"
            )
        return state.served.values

    def _next_state(
        self, state: MethodState, task: str, prompt: GroupPrompt, notes: dict[str, str]
    ) -> MethodState:
        """The materialised prompt kept, the aggregate computed anew."""
        own = prompt.rows().rows()
        kept = {**state.kept, task: own}
        served = own
        if self.config.combination != "sum":
            alike = self._of_same_length(kept)
            served, notes = mean(alike), {**notes, "combined": f"{len(alike)} of {len(kept)}"}
        return replace(state, served=served, kept=kept, extra=prompt.arrays(), notes=notes)

    def _of_same_length(self, kept: dict[str, Rows]) -> list[Rows]:
        """The prompts with as many rows as are trained now, in an order that storage keeps."""
        return [kept[task] for task in sorted(kept) if len(kept[task]) == self.config.rows]
