"""Letters as an unsteady hand writes them, and as coarse as the digits are."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

CELLS: Final = 8
"""The digits' pixels a side: of 32 × 32 dots, each counts the dark ones among 4 × 4."""
_DOTS: Final = 32
_DARK: Final = 0.4
"""Ink from which a dot is dark."""
_TURN: Final = 0.18  # radians, each way
_SLANT: Final = 0.25
_NARROWER: Final = (1.0, 1.5)  # written letters are narrower than printed ones
_LOWER: Final = (0.95, 1.1)
_SHIFT: Final = 0.06  # of half a side, each way
_WAVE: Final = 0.05  # of half a side, standard deviation
_WAVES: Final = 4  # points a side by which a wave is given
_BROAD: Final = 0.2  # share written with a broader pen


def handwritten(ink: Tensor, draw: torch.Generator) -> Tensor:
    """(N, 1, CELLS, CELLS): printed letters (N, 1, S, S), each bent in its own way; ink 0 to 1."""
    count = len(ink)
    grid = functional.affine_grid(
        _slants(count, draw), [count, 1, _DOTS, _DOTS], align_corners=False
    )
    grid = grid + _waves(count, draw)
    dots = functional.grid_sample(ink, grid, align_corners=False)
    broad = torch.rand(count, 1, 1, 1, generator=draw) < _BROAD
    dots = torch.where(broad, functional.max_pool2d(dots, 3, stride=1, padding=1), dots)
    return functional.avg_pool2d((dots > _DARK).float(), _DOTS // CELLS)


def as_seen(cells: Tensor, side: int) -> Tensor:
    """(N, 3, side, side) from -1 (ink) to 1 (paper): what a mean and deviation of 0.5 make."""
    large = functional.interpolate(cells, (side, side), mode="bicubic", align_corners=False)
    return (1 - 2 * large.clamp(0, 1)).expand(-1, 3, -1, -1)


def _slants(count: int, draw: torch.Generator) -> Tensor:
    """(N, 2, 3): from places of the written letter to places of the printed one."""
    turn, slant = _between(-_TURN, _TURN, count, draw), _between(-_SLANT, _SLANT, count, draw)
    wide, high = _between(*_NARROWER, count, draw), _between(*_LOWER, count, draw)
    cosine, sine, none = turn.cos(), turn.sin(), torch.zeros(count)
    turned = torch.stack([cosine, -sine, sine, cosine], 1).view(count, 2, 2)
    scaled = torch.stack([wide, slant * wide, none, high], 1).view(count, 2, 2)
    moved = _between(-_SHIFT, _SHIFT, 2 * count, draw).view(count, 2, 1)
    return torch.cat([scaled @ turned, moved], 2)


def _waves(count: int, draw: torch.Generator) -> Tensor:
    """(N, DOTS, DOTS, 2): where smooth waves move each dot."""
    coarse = _WAVE * torch.randn(count, 2, _WAVES, _WAVES, generator=draw)
    fine = functional.interpolate(coarse, (_DOTS, _DOTS), mode="bicubic", align_corners=True)
    return fine.permute(0, 2, 3, 1)


def _between(low: float, high: float, count: int, draw: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=draw)
