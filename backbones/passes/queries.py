"""Sample the queries of real tokens, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from backbones.arrays import FloatArray, IntArray
from backbones.errors import ShapeMismatch
from backbones.passes.context import Observation
from backbones.queries import Queries


def sample_positions(lengths: IntArray, per_example: int, seed: int) -> list[IntArray]:
    """For each example, up to `per_example` distinct token positions, ascending."""
    if per_example < 1:
        raise ShapeMismatch(f"per_example must be at least 1, is {per_example}")
    draw = np.random.default_rng(seed)
    return [
        np.sort(draw.choice(length, size=min(per_example, length), replace=False))
        for length in lengths.tolist()
    ]


def sampled_queries(seen: Observation, positions: Sequence[IntArray]) -> Queries:
    """The queries at `positions` of each example, with what the text alone gives them."""
    example = torch.from_numpy(np.repeat(np.arange(len(positions)), [len(p) for p in positions]))
    token = torch.from_numpy(np.concatenate(positions))
    q = seen.q[example, :, token]  # (n, H, Dh)
    scores = torch.einsum("nhd,nhsd->nhs", q * seen.scaling, seen.k[example])
    if seen.mask is not None:
        shared = seen.mask.shape[2] == 1
        scores = scores + seen.mask[example, :, 0 if shared else token]
    output = torch.einsum("nhs,nhsd->nhd", scores.softmax(dim=-1), seen.v[example])
    rescaled = q * (seen.scaling * q.shape[-1] ** 0.5)
    return Queries(_by_head(rescaled), _by_head(scores.logsumexp(dim=-1)), _by_head(output))


def concat(parts: Sequence[Queries]) -> Queries:
    """All samples, in order."""
    return Queries(
        np.concatenate([part.q for part in parts], axis=1),
        np.concatenate([part.log_mass for part in parts], axis=1),
        np.concatenate([part.output for part in parts], axis=1),
    )


def _by_head(samples: Tensor) -> FloatArray:
    array: FloatArray = samples.transpose(0, 1).contiguous().cpu().numpy()
    return array
