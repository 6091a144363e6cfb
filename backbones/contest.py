"""Which of several engines serves a backbone fastest here: the clock decides, once, at start."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final

import numpy as np

from backbones.bank import Bank
from backbones.description import Description
from backbones.inputs import Input
from backbones.prefix import Prefix
from backbones.protocol import Backbone

log = logging.getLogger(__name__)

INPUTS: Final = 16
"""Of the timed batch: as many as wait together on a busy server."""
ROUNDS: Final = 5
SECONDS: Final = 3.0
"""After which no other round begins; a large backbone on a CPU takes longer for one."""
_PROMPTS: Final = 4
_ROWS: Final = 10
_TEXT: Final = (
    "I ordered the blue one three weeks ago and the courier left it with a neighbour who has since "
    "moved away so please tell me how I can get my money back before the end of the month"
)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The engine that serves.

    reason: why it and no other one
    milliseconds: that `INPUTS` inputs took each engine; empty where none was timed
    """

    backbone: Backbone
    reason: str
    milliseconds: Mapping[str, float] = field(default_factory=dict)


def fastest(engines: Sequence[Backbone], clock: Callable[[], float] = time.perf_counter) -> Chosen:
    """Time the same batch under prompts on each engine in turn, after one that is not timed.

    The quickest round of each counts: what else the machine does only makes rounds longer.
    engines: at least one, each of another runtime, of one backbone
    """
    about = engines[0].description
    batch = engines[0].preprocess(_inputs(about))
    bank, rows = Bank.stack([_prompt(about)] * _PROMPTS), np.arange(INPUTS) % _PROMPTS
    quickest = {engine.runtime: inf for engine in engines}
    for engine in engines:
        engine.encode_layers(batch, bank, rows)
    began = clock()
    for _ in range(ROUNDS):
        for engine in engines:
            started = clock()
            engine.encode_layers(batch, bank, rows)
            quickest[engine.runtime] = min(quickest[engine.runtime], clock() - started)
        if clock() - began > SECONDS:
            break
    best = min(engines, key=lambda engine: quickest[engine.runtime])
    milliseconds = {runtime: round(1000 * seconds, 3) for runtime, seconds in quickest.items()}
    log.info("%s is the fastest with %d inputs, ms: %s", best.runtime, INPUTS, milliseconds)
    return Chosen(best, f"the fastest of {' and '.join(quickest)} at start", milliseconds)


def _prompt(about: Description) -> Prefix:
    """What it says costs nothing."""
    shape = about.prefix_shape(_ROWS)
    return Prefix(np.zeros(shape, np.float32), np.zeros((shape[0], shape[2], _ROWS), np.float32))


def _inputs(about: Description) -> list[Input]:
    """Texts of 4 to 34 words, or images of one pixel: what a pass takes does not depend on it."""
    if about.modality == "text":
        words = _TEXT.split()
        return [Input(text=" ".join(words[: 4 + 2 * number])) for number in range(INPUTS)]
    from PIL import Image

    from backbones.images import encoded

    return [Input(image=encoded(Image.new("RGB", (1, 1)), "PNG"))] * INPUTS
