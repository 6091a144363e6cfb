"""A lesson's inputs seen under prompt rows: the one place that tells the two forms apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from backbones import Preprocessed, TokenBackbone, TokenBank, TrainableBackbone
from backbones.lower import LowerStates
from backbones.tensors import TensorPrefix
from learner.arrays import FloatArray, IntArray
from learner.rows import Form, Rows
from learner.tensor_rows import TensorRows

if TYPE_CHECKING:
    from learner.methods.base import Lesson


class PromptedInputs(Protocol):
    """n inputs that can be looked at under any rows of one form."""

    @property
    def lengths(self) -> IntArray:
        """Tokens of each input `(n,)`."""
        ...

    @property
    def device(self) -> torch.device:
        """Where training tensors live."""
        ...

    def features(self, rows: TensorRows, index: IntArray) -> Tensor:
        """Features `(len(index), D)` of length 1, differentiable in `rows`."""
        ...

    def encode(self, rows: Rows) -> FloatArray:
        """Features `(n, D)` of all inputs, without gradient."""
        ...


@dataclass(frozen=True, eq=False)
class ManyViews:
    """Inputs and changed views of them, one after the other. lower: (views + 1) · n examples"""

    lower: LowerStates
    count: int
    random: np.random.Generator

    def drawn(self, index: IntArray) -> IntArray:
        """For each of the n inputs the place of one of its views, or of itself."""
        number = self.random.integers(len(self.lower) // self.count, size=len(index))
        return index + number * self.count


@dataclass(frozen=True, eq=False)
class KeysValuesInputs:
    """Inputs whose lower layers are computed once; the rows enter the upper ones."""

    backbone: TrainableBackbone
    lower: LowerStates
    seen_as: ManyViews | None = None

    @property
    def lengths(self) -> IntArray:
        """Tokens of each input."""
        return self.lower.lengths

    @property
    def device(self) -> torch.device:
        """That of the lower states."""
        return self.lower.states.device

    def features(self, rows: TensorRows, index: IntArray) -> Tensor:
        """Differentiable features, of a view drawn for each input where there are some."""
        prefix = TensorPrefix(rows.values, rows.bias)
        lower = self.lower
        if self.seen_as is not None:
            lower, index = self.seen_as.lower, self.seen_as.drawn(index)
        return self.backbone.features(lower, index.tolist(), prefix).to(self.device)

    def encode(self, rows: Rows) -> FloatArray:
        """Features of all inputs."""
        return self.backbone.encode_lower(self.lower, rows.to_prefix())


@dataclass(frozen=True, eq=False)
class TokenInputs:
    """Inputs that prompt tokens are put in front of: every layer is computed at each step."""

    backbone: TokenBackbone
    inputs: Preprocessed

    @property
    def lengths(self) -> IntArray:
        """Tokens of each input."""
        return self.inputs.lengths

    @property
    def device(self) -> torch.device:
        """The backbone moves the few prompt tokens itself."""
        return torch.device("cpu")

    def features(self, rows: TensorRows, index: IntArray) -> Tensor:
        """Differentiable features."""
        tokens = rows.values[0, 0, 0]
        return self.backbone.token_features(self.inputs, index.tolist(), tokens).to(self.device)

    def encode(self, rows: Rows) -> FloatArray:
        """Features of all inputs."""
        bank = TokenBank.stack([rows.to_tokens()])
        return self.backbone.encode_tokens(self.inputs, bank, np.zeros(len(self.inputs), np.int64))


def prompted_inputs(
    lesson: Lesson, form: Form, backbone: TrainableBackbone, views: int = 0
) -> PromptedInputs:
    """The lesson's inputs for prompts of `form`. Raises TypeError where the backbone takes none.

    views: changed views of each input to train on beside it, where the modality has such
    """
    if form == "keys_values":
        lower = lesson.lower_states(backbone)
        return KeysValuesInputs(backbone, lower, _views(lesson, lower, backbone, views))
    if not hasattr(backbone, "token_features"):
        raise TypeError(
            f"{backbone.description.name} takes no input-token prompts; use form='keys_values'"
        )
    return TokenInputs(cast(TokenBackbone, backbone), lesson.inputs)


def _views(
    lesson: Lesson, lower: LowerStates, backbone: TrainableBackbone, count: int
) -> ManyViews | None:
    changed = [backbone.augmented(lesson.inputs, lesson.seed + number) for number in range(count)]
    states = [backbone.lower(view) for view in changed if view is not None]
    if not states:
        return None
    whole = LowerStates.concat([lower, *states])
    return ManyViews(whole, len(lower), np.random.default_rng(lesson.seed))
