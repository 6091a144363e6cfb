"""A layer-grouped prompt while it trains: root and generator as tensors, layers made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from learner.arrays import FloatArray, IntArray
from learner.methods.config import LayerGroupedConfig
from learner.methods.generator import DOWN, UP, Generator
from learner.optimise import ParameterGroup
from learner.tensor_rows import TensorRows

ROOT = "root"
"""Name of the root in a state's `extra`."""


class GroupPrompt:
    """Layer l sees A_g(l)(root) plus something fixed; without a generator each group has a root."""

    def __init__(
        self,
        start: dict[str, FloatArray],
        group_of: IntArray,
        fixed: FloatArray,
        config: LayerGroupedConfig,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        """`start` names root `(1 or G, 2, P, D)` and generator; `group_of (L',)`.

        `fixed` is added to keys and values: `(L', 2, H, P, Dh)`, or any shape that stretches to it.
        """
        self._root = torch.tensor(start[ROOT], device=device, requires_grad=True)
        self._generator = Generator(start[DOWN], start[UP], device) if config.generator else None
        self._group_of = torch.as_tensor(group_of, device=device)
        self._fixed = torch.tensor(fixed, device=device)
        self._config = config

    def rows(self) -> TensorRows:
        """Keys and values of every layer, differentiable; biases are zero."""
        root = self._root
        groups = root if self._generator is None else self._generator(root)
        layers = groups[self._group_of]
        heads, head_dim = self._fixed.shape[2], self._fixed.shape[4]
        split = layers.reshape(*layers.shape[:-1], heads, head_dim)
        values = split.transpose(2, 3) + self._fixed
        return TensorRows(values, _no_bias(values))

    def groups(self) -> list[ParameterGroup]:
        """What is trained, by learning rate."""
        generator = [] if self._generator is None else self._generator.parameters()
        return [
            ParameterGroup([self._root], self._config.rate),
            ParameterGroup(generator, self._config.generator_rate),
        ]

    def arrays(self) -> dict[str, FloatArray]:
        """Root and generator: what the next task starts from."""
        generator = {} if self._generator is None else self._generator.arrays()
        return {ROOT: self._root.detach().cpu().numpy().copy(), **generator}


def _no_bias(values: Tensor) -> Tensor:
    layers, _, heads, count, _ = values.shape
    return values.new_zeros(layers, heads, count)
