"""`perennial bench gpu`: both engines on a card, beside what the card can do at most."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from backbones import (
    Backbone,
    Input,
    Preprocessed,
    UnsupportedModel,
    in_bf16,
    load,
    load_to_serve,
)
from backbones.images import encoded
from benchmarks.markdown import markdown_table
from benchmarks.turns import by_turns

AGREED: Final = 1e-2
"""Largest distance of a feature in fp32 from the CPU's; features have length 1."""
HEADINGS: Final = ("backbone", "engine", "inputs", "inputs/s", "of the card's rate", "distance")
_COMPARED: Final = 8
_WORDS: Final = 30
_TYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PRODUCTS: Final = 10


@dataclass(frozen=True)
class Speed:
    """One engine with one size of batch.

    per_second: inputs;  share: its arithmetic, of `matrix_rate` in the same precision
    distance: of its features from those of torch on the CPU in fp32, at most
    """

    backbone: str
    engine: str
    precision: str
    inputs: int
    per_second: float
    share: float
    distance: float

    @property
    def agrees(self) -> bool:
        """In bf16 nothing was asked for."""
        return self.precision != "fp32" or self.distance <= AGREED

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def matrix_rate(precision: str, device: str, side: int = 8192) -> float:
    """Operations a second (an addition and a multiplication are two) of square matrix products."""
    a, b = (torch.randn(side, side, device=device).to(_TYPES[precision]) for _ in range(2))

    def product() -> None:
        torch.mm(a, b)
        if device == "cuda":
            torch.cuda.synchronize()

    (seconds,) = by_turns({"product": product}, _PRODUCTS, time.perf_counter).values()
    return 2 * side**3 / min(seconds)


def run_gpu(
    name: str,
    batches: Sequence[int],
    *,
    rounds: int,
    rates: Mapping[str, float],
    device: Literal["cuda", "cpu"] = "cuda",
) -> list[Speed]:
    """Time every engine of a backbone in turn on plain batches of these sizes.

    rates: `matrix_rate` of each precision;  device: of torch; ONNX Runtime takes CUDA where it can
    """
    exact = load(name, device="cpu", precision="fp32")
    engines = _engines(name, device)
    seen = exact.preprocess(_inputs(exact.description.modality, max(batches)))
    few = seen[:_COMPARED]
    operations, expected = _operations(exact, few) / len(few), exact.encode(few)
    distances = {
        kind: float(np.linalg.norm(engine.encode(few) - expected, axis=1).max())
        for kind, engine in engines.items()
    }
    speeds = []
    for size in batches:
        forms = {kind: partial(one.encode, seen[:size]) for kind, one in engines.items()}
        for kind, seconds in by_turns(forms, rounds).items():
            pace, (engine, precision) = size / median(seconds), kind
            share = pace * operations / rates[precision]
            speeds.append(
                Speed(Path(name).name, engine, precision, size, pace, share, distances[kind])
            )
    return speeds


def markdown(speeds: Sequence[Speed]) -> str:
    """A table, a line a speed."""
    lines = [
        (
            one.backbone,
            f"{one.engine}, {one.precision}",
            str(one.inputs),
            f"{one.per_second:.0f}",
            f"{one.share:.3f}",
            f"{one.distance:.1e}",
        )
        for one in speeds
    ]
    return markdown_table(HEADINGS, lines)


def _engines(name: str, device: Literal["cuda", "cpu"]) -> dict[tuple[str, str], Backbone]:
    """By their name and precision. Raises UnsupportedModel where one is not on the card."""
    onnx = load_to_serve(name, runtime="onnx")
    if device == "cuda" and onnx.device != device:
        raise UnsupportedModel("ONNX Runtime could not use CUDA; the lines above say why")
    own = load(name, device=device, precision="fp32")
    return {("onnx", "fp32"): onnx, ("torch", "fp32"): own, ("torch", "bf16"): in_bf16(own)}


def _operations(backbone: Backbone, batch: Preprocessed) -> int:
    """What its matrix products and convolutions take; scores of attention are some percent more."""
    with FlopCounterMode(display=False) as counter:
        backbone.encode(batch)
    return int(counter.get_total_flops())


def _inputs(modality: str, count: int) -> list[Input]:
    """Texts of one length, or one image: nothing is padded."""
    if modality == "text":
        return [Input(text=" ".join(["word"] * _WORDS))] * count
    noise = Image.effect_noise((256, 256), 60).convert("RGB")
    return [Input(image=encoded(noise, "JPEG"))] * count
