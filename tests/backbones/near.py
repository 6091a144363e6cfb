"""How far an engine of less precision may lie from fp32 on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from backbones import Backbone, Input
from backbones.checks import random_bank, random_router

NEAR: Final = 0.02
"""Largest distance of two states of length 1; random weights round worse than real ones."""


def check_near(engine: Backbone, exact: Backbone, inputs: Sequence[Input], near: float) -> None:
    """`engine` sees nearly what `exact` does: without a bank, and with rows named and routed.

    near: the largest distance of two states of length 1, in any layer
    """
    about = exact.description
    assert engine.description.fingerprint == about.fingerprint
    batch = exact.preprocess(inputs)
    router = random_router(exact.encode_layers(batch).lower(about.first_prompted), (3, 1, 2), 41)
    bank = replace(random_bank(about, 3), routers=(router,))
    named = np.arange(len(batch)) % len(bank)
    for used, rows in ((None, None), (bank, named), (bank, np.full(len(batch), -1))):
        seen, expected = (one.encode_layers(batch, used, rows) for one in (engine, exact))
        assert np.linalg.norm(seen.pooled - expected.pooled, axis=2).max() < near
        assert seen.rows.tolist() == expected.rows.tolist()
