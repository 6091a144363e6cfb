"""Random attention problems: rows in groups of near twins, as tasks of one domain train them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from backbones import Queries
from learner.arrays import FloatArray
from learner.rows import Rows, fresh

Problem = tuple[Rows, list[Queries], list[Queries]]
MakeProblem = Callable[..., Problem]


settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def make_problem(
    seed: int, *, layers: int = 2, heads: int = 3, rows: int = 40, width: int = 8, kinds: int = 12
) -> Problem:
    """Rows, queries to fit on, and held-out queries of the same text."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(layers, 2, heads, kinds, width))
    which = rng.integers(kinds, size=rows)
    values = centres[..., which, :] + 0.1 * rng.normal(size=(layers, 2, heads, rows, width))
    fit, held_out = (_queries(rng, layers, heads, width) for _ in range(2))
    return fresh(values.astype(np.float32)), fit, held_out


def _queries(rng: np.random.Generator, layers: int, heads: int, width: int) -> list[Queries]:
    """200 queries a head; the text holds about as much mass as twenty rows."""

    def draw(*shape: int) -> FloatArray:
        return rng.normal(size=shape).astype(np.float32)

    return [
        Queries(
            q=1.5 * draw(heads, 200, width),
            log_mass=np.float32(3.0) + draw(heads, 200),
            output=draw(heads, 200, width),
        )
        for _ in range(layers)
    ]


@pytest.fixture
def problem() -> MakeProblem:
    """`problem(seed, rows=…)` makes a random attention problem."""
    return make_problem
