"""Consolidation: one prompt distilled from several domains' prompts (METHODS §5.5).

Where the bank of prompts is full, kept examples stand for their domains: the one prompt learns to
see each as the example's own prompt did. No labels are looked at, so the heads fitted under the
old prompts stay of use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from backbones import Prefix, TrainableBackbone
from backbones.lower import LowerStates
from backbones.tensors import TensorPrefix
from learner.arrays import FloatArray, IntArray
from learner.methods.config import FrozenConfig
from learner.optimise import ParameterGroup, Recipe, Report, optimise
from learner.rows import fresh
from learner.tensor_rows import TensorRows


class ConsolidationConfig(FrozenConfig):
    """How the one prompt is trained; the recipe of METHODS §7 on larger batches."""

    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    initial_scale: float = Field(default=0.1, gt=0, description="standard deviation of new rows")
    weight: float = Field(default=20.0, gt=0, description="factor on 1 − cos")
    warmup: float = Field(default=0.06, ge=0, lt=1, description="share of all steps")
    clip: float = Field(default=1.0, gt=0, description="largest gradient norm")


def consolidate(
    backbone: TrainableBackbone,
    lower: LowerStates,
    teacher_features: FloatArray,
    rows: int,
    *,
    seed: int = 0,
    config: ConsolidationConfig | None = None,
    report: Report,
) -> Prefix:
    """A prompt of `rows` rows under which N examples look as under their own prompts.

    lower: the N examples below the prompted layers; teacher_features: (N, D), of length 1, each
    under the prompt of its own domain. Minimises the mean of weight · (1 − cos(feature, teacher)).
    Equal arguments give equal prompts. Raises ValueError where the arguments do not fit each other,
    and what `report` raises, to cancel.
    """
    config = config or ConsolidationConfig()
    _check(lower, teacher_features, rows, backbone.description.width)
    noise_seed, batch_seed = (int(part) for part in np.random.SeedSequence(seed).generate_state(2))
    shape = backbone.description.prefix_shape(rows)
    noise = np.random.default_rng(noise_seed).standard_normal(shape, dtype=np.float32)
    device = lower.states.device
    prompt = TensorRows.of(fresh(np.float32(config.initial_scale) * noise), device)
    prompt.values.requires_grad_()
    loss = Distillation(backbone, lower, teacher_features, prompt, config.weight)
    steps = config.epochs * -(-len(lower) // config.batch_size)
    recipe = Recipe(steps, config.batch_size, config.warmup, config.clip, batch_seed)
    groups = [ParameterGroup([prompt.values], config.learning_rate)]
    optimise(loss, groups, lower.lengths, recipe, report)
    return prompt.rows().to_prefix()


class Distillation:
    """The loss of a batch of examples under `prompt`."""

    def __init__(
        self,
        backbone: TrainableBackbone,
        lower: LowerStates,
        teachers: FloatArray,
        prompt: TensorRows,
        weight: float,
    ) -> None:
        self._backbone, self._lower, self._weight = backbone, lower, weight
        self._teachers = torch.tensor(teachers, device=lower.states.device)
        self._prefix = TensorPrefix(prompt.values, prompt.bias)

    def __call__(self, index: IntArray) -> Tensor:
        """Mean of weight · (1 − cos) over the examples `index`."""
        features = self._backbone.features(self._lower, index.tolist(), self._prefix)
        own = self._teachers[torch.as_tensor(index, device=self._teachers.device)]
        cosines = torch.nn.functional.cosine_similarity(features.to(own.device), own, dim=1)
        return self._weight * (1 - cosines).mean()


def _check(lower: LowerStates, teachers: FloatArray, rows: int, width: int) -> None:
    if rows < 1:
        raise ValueError(f"a prompt of {rows} rows holds nothing; consolidate to at least 1")
    if len(lower) == 0:
        raise ValueError("no examples to consolidate on; keep examples, or merge the prompts' rows")
    if teachers.shape != (len(lower), width):
        raise ValueError(
            f"{len(lower)} examples need teacher features {(len(lower), width)}, "
            f"got {teachers.shape}"
        )


def seen_under(
    backbone: TrainableBackbone, lower: LowerStates, prefixes: Sequence[Prefix]
) -> FloatArray:
    """Features (T, N, D) of the same N examples under each of T prefixes."""
    return np.stack([backbone.encode_lower(lower, prefix) for prefix in prefixes])


def most_alike(features: FloatArray) -> tuple[int, int]:
    """The two of T prompts, smaller index first, that act most alike on the same N examples.

    features: (T, N, D), of length 1, of the examples under each prompt (`seen_under`). The measure
    is the mean over examples of 1 − cos between their features under the two; the first of equals.
    Raises ValueError for fewer than two prompts, or no examples.
    """
    if features.ndim != 3 or len(features) < 2 or features.shape[1] == 0:
        raise ValueError(
            f"features (T ≥ 2, N ≥ 1, D) are needed to compare prompts, got {features.shape}"
        )
    distances = 1 - np.einsum("ind,jnd->ij", features, features) / features.shape[1]
    distances[np.tril_indices(len(distances))] = np.inf
    first, second = np.unravel_index(int(distances.argmin()), distances.shape)
    return int(first), int(second)
