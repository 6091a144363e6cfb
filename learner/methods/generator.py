"""Generators: from one root prompt to a sub-prompt for each group of layers.

That adapters make the sub-prompts of all groups from one root is published (HLGP, Jiang et al.
2025); their form is our choice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

from learner.arrays import FloatArray

DOWN, UP = "generator.down", "generator.up"
"""Names of V and U in a state's `extra`."""


class Generator:
    """A_g(z) = z + U_g·GELU(V_g·LN(z)) for G groups, of vectors z of width D; no biases."""

    def __init__(
        self, down: FloatArray, up: FloatArray, device: torch.device | str = "cpu"
    ) -> None:
        """`down` V `(G, D, hidden)`, `up` U `(G, hidden, D)`."""
        self._down = torch.tensor(down, device=device, requires_grad=True)
        self._up = torch.tensor(up, device=device, requires_grad=True)

    def __call__(self, root: Tensor) -> Tensor:
        """`root (1, 2, P, D)` → sub-prompts `(G, 2, P, D)`; keys and values share A_g."""
        vectors = root.flatten(0, 2)
        change = gelu(layer_norm(vectors, vectors.shape[-1:]) @ self._down) @ self._up
        groups: Tensor = root + change.reshape(-1, *root.shape[1:])
        return groups

    def parameters(self) -> list[Tensor]:
        """V and U of all groups."""
        return [self._down, self._up]

    def arrays(self) -> dict[str, FloatArray]:
        """What the next task starts from."""
        return {
            DOWN: self._down.detach().cpu().numpy().copy(),
            UP: self._up.detach().cpu().numpy().copy(),
        }


def fresh_generator(groups: int, width: int, hidden: int, seed: int) -> dict[str, FloatArray]:
    """V from N(0, 1/D), U zero: every group starts with the root itself."""
    noise = np.random.default_rng(seed).standard_normal((groups, width, hidden), dtype=np.float32)
    return {
        DOWN: noise / np.float32(width**0.5),
        UP: np.zeros((groups, hidden, width), dtype=np.float32),
    }


def has_shape_of(extra: Mapping[str, FloatArray], like: Mapping[str, FloatArray]) -> bool:
    """Whether `extra` holds every array of `like` in the same shape."""
    return all(name in extra and extra[name].shape == array.shape for name, array in like.items())
