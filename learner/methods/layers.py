"""Layer groups and the position term: what a layer-grouped prompt knows about a layer."""

from __future__ import annotations

import numpy as np

from backbones import Description
from learner.arrays import FloatArray, IntArray

WAVELENGTH = 10_000.0
"""Longest wavelength over 2π, as in Vaswani et al. 2017, §3.5."""


def group_of_layers(layers: int, groups: int) -> IntArray:
    """The group `(L',)` of each prompted layer: contiguous, sizes equal or one apart."""
    return np.arange(layers) * groups // layers


def position_term(description: Description, weight: float) -> FloatArray:
    """β·e_l `(L', 1, H, 1, Dh)`, to be added to the keys and values of every row.

    e_l is sinusoidal in the index l of the layer in the whole backbone: sine and cosine of
    l / 10000^(2i/(H·Dh)) in turn.
    """
    layers = np.arange(description.first_prompted, description.layers)
    width = description.attention_width
    rates = WAVELENGTH ** -(np.arange(0, width, 2) / width)
    angles = layers[:, None] * rates
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(layers), -1)
    term = weight * waves[:, :width].astype(np.float32)
    return term.reshape(len(layers), 1, description.heads, 1, description.head_dim)
