"""What every prompt-training method does the same way: seeds, fresh rows, objective, recipe."""

from __future__ import annotations

import hashlib

import numpy as np
from torch import Tensor

from backbones import Description, TrainableBackbone
from learner.arrays import IntArray
from learner.losses import CosineHead, CrossFitRidge, Objective
from learner.methods.base import Lesson, Progress, no_rows
from learner.methods.config import PromptConfig
from learner.optimise import ParameterGroup, Recipe, optimise
from learner.prompted import PromptedInputs, prompted_inputs
from learner.rows import Rows, fresh
from learner.tensor_rows import TensorRows


def seed_of(lesson: Lesson, purpose: str) -> int:
    """One seed per lesson, task and purpose, so that tasks do not start from equal noise."""
    text = f"{lesson.seed}/{lesson.task}/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def random_rows(count: int, description: Description, config: PromptConfig, seed: int) -> Rows:
    """`count` rows from N(0, scale²)."""
    shape = list(no_rows(description, config.form).values.shape)
    shape[-2] = count
    noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return fresh(np.float32(config.scale) * noise)


def recipe_of(lesson: Lesson, config: PromptConfig) -> Recipe:
    """Steps and speed for this lesson."""
    return Recipe(
        steps=config.steps(len(lesson.labels)),
        batch_size=config.batch_of(len(lesson.labels)),
        warmup=config.warmup,
        clip=config.clip,
        seed=seed_of(lesson, "batches"),
    )


def objective_of(
    lesson: Lesson, config: PromptConfig, inputs: PromptedInputs, start: Rows
) -> Objective:
    """The configured loss, its head begun under the rows `start` that training starts from."""
    features = inputs.encode(start)
    if config.crossfits(lesson.classes):
        return CrossFitRidge(
            features,
            lesson.labels,
            lesson.classes,
            ridge=config.ridge,
            scale=config.ridge_scale,
            limit=config.crossfit_bank,
            seed=seed_of(lesson, "bank"),
            device=inputs.device,
        )
    return CosineHead(
        features, lesson.labels, lesson.classes, scale=config.cosine_scale, device=inputs.device
    )


def train_rows(
    lesson: Lesson,
    config: PromptConfig,
    start: Rows,
    backbone: TrainableBackbone,
    report: Progress,
) -> tuple[Rows, float]:
    """One prompt of free rows trained on from `start`, and the last epoch's loss."""
    inputs = prompted_inputs(lesson, config.form, backbone, config.views)
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
    return prompt.rows(), last
