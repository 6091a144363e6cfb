"""`perennial bench pass`: what prompts and routing cost, against the plain model, in one run.

Numbers of prompts and routers are random: their cost does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from backbones import Backbone, Bank, Description, Input, Preprocessed, Router
from backbones.images import encoded
from benchmarks.lessons import texts
from benchmarks.markdown import markdown_table
from benchmarks.turns import by_turns, ratio

SIDES = (120, 480)
"""Pixels of the smallest and the largest image; pixels are made before the clock starts."""
HEADINGS = ("inputs", "plain, ms", "aggregate", "task given", "routed", "two passes")


@dataclass(frozen=True)
class PassCost:
    """One batch. milliseconds of the plain model; others as ratios to it, each a median of rounds.

    aggregate: all inputs under one prompt of all rows together
    named: every input under its own of several prompts
    routed: the pass chooses each input's prompt on its way
    two_passes: the plain model chooses, a second pass looks under the prompt
    """

    inputs: int
    plain_ms: float
    aggregate: float
    named: float
    routed: float
    two_passes: float

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_pass(
    backbone: Backbone, batches: Sequence[int], *, domains: int, rows: int, rounds: int
) -> list[PassCost]:
    """Time every form of a pass on batches of these sizes.

    domains: prompts in the bank;  rows: of each prompt in every prompted layer
    """
    rng = np.random.default_rng(0)
    seen = backbone.preprocess(_inputs(backbone.description, max(batches), rng))
    bank = _bank(backbone.description, domains, rows, rng)
    aggregate = _bank(backbone.description, 1, domains * rows, rng)
    return [_cost(backbone, seen[:size], bank, aggregate, rounds) for size in batches]


def markdown(costs: Sequence[PassCost]) -> str:
    """A table of milliseconds and ratios."""
    lines = [
        (
            str(one.inputs),
            f"{one.plain_ms:.1f}",
            *(f"{r:.3f}" for r in (one.aggregate, one.named, one.routed, one.two_passes)),
        )
        for one in costs
    ]
    return markdown_table(HEADINGS, lines)


def _cost(
    backbone: Backbone, batch: Preprocessed, bank: Bank, aggregate: Bank, rounds: int
) -> PassCost:
    everywhere = np.zeros(len(batch), np.int64)
    dealt = np.arange(len(batch)) % len(bank)

    def twice() -> None:
        backbone.encode_layers(batch)
        backbone.encode_layers(batch, bank, dealt)

    forms: dict[str, Callable[[], object]] = {
        "plain": lambda: backbone.encode_layers(batch),
        "aggregate": lambda: backbone.encode_layers(batch, aggregate, everywhere),
        "named": lambda: backbone.encode_layers(batch, bank, dealt),
        "routed": lambda: backbone.encode_layers(batch, bank, everywhere - 1),
        "two_passes": twice,
    }
    seconds = by_turns(forms, rounds)
    plain = seconds.pop("plain")
    ratios = {name: ratio(times, plain) for name, times in seconds.items()}
    return PassCost(inputs=len(batch), plain_ms=1000 * median(plain), **ratios)


def _bank(about: Description, prefixes: int, rows: int, rng: np.random.Generator) -> Bank:
    """Random prompts and a random router that uses every one of them."""
    numbers = 0.1 * rng.standard_normal((prefixes, *about.prefix_shape(rows)), np.float32)
    bias = np.zeros((prefixes, about.prompted_layers, about.heads, rows), np.float32)
    weights = rng.standard_normal((about.first_prompted + 1, about.width, prefixes), np.float32)
    router = Router(weights, np.zeros(prefixes, np.float32), np.arange(prefixes))
    return Bank(numbers, bias, (router,))


def _inputs(about: Description, count: int, rng: np.random.Generator) -> list[Input]:
    """The README's texts, or images of noise of different sizes."""
    if about.modality == "text":
        known = texts()
        return [Input(text=known[i % len(known)]) for i in range(count)]
    return [Input(image=_noise(rng)) for _ in range(count)]


def _noise(rng: np.random.Generator) -> bytes:
    pixels = rng.integers(0, 256, (*rng.integers(*SIDES, size=2), 3), np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG")
