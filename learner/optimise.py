"""The trainer: AdamW, warm-up and cosine, batches of like lengths; deterministic for a seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from learner.arrays import IntArray

POOL = 4
"""Batches whose rows are sorted by length together: enough to save padding, still random."""


class Report(Protocol):
    """Called after every step; may raise to stop."""

    def __call__(self, epoch: int, epochs: int, loss: float, seconds: float) -> None:
        """`epoch` counts from 1; `loss` is the epoch's mean so far."""
        ...


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Tensors that share a learning rate; their joint gradient is clipped together."""

    tensors: Sequence[Tensor]
    rate: float


@dataclass(frozen=True)
class Recipe:
    """How long and how fast."""

    steps: int
    batch_size: int
    warmup: float
    clip: float
    seed: int

    def factor(self, step: int) -> float:
        """On every learning rate: linear warm-up, then half a cosine to zero."""
        warm = min(1.0, (step + 1) / (self.warmup * self.steps + 1))
        return warm * 0.5 * (1 + math.cos(math.pi * min(step, self.steps) / self.steps))


def optimise(
    loss: Callable[[IntArray], Tensor],
    groups: Sequence[ParameterGroup],
    lengths: IntArray,
    recipe: Recipe,
    report: Report,
) -> float:
    """Minimise `loss(row indices)`; returns the last epoch's mean loss.

    Raises what `report` raises, and FloatingPointError where the loss stops being finite.
    """
    trained = [group for group in groups if group.tensors]
    optimiser = torch.optim.AdamW(
        [{"params": list(group.tensors), "lr": group.rate} for group in trained], weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.factor)
    per_epoch = -(-len(lengths) // recipe.batch_size)
    epochs = -(-recipe.steps // per_epoch)
    start, mean = time.monotonic(), Mean()
    for step, index in enumerate(batches(lengths, recipe)):
        mean = Mean() if step % per_epoch == 0 else mean
        mean = mean.add(_step(loss, index, trained, optimiser, recipe.clip), len(index))
        schedule.step()
        report(step // per_epoch + 1, epochs, mean.value, time.monotonic() - start)
    return mean.value


def _step(
    loss: Callable[[IntArray], Tensor],
    index: IntArray,
    groups: Sequence[ParameterGroup],
    optimiser: torch.optim.Optimizer,
    clip: float,
) -> float:
    optimiser.zero_grad()
    value = loss(index)
    if not torch.isfinite(value):
        raise FloatingPointError(
            f"training loss became {value.item()}; lower the learning rate {groups[0].rate}"
        )
    value.backward()  # type: ignore[no-untyped-call]
    for group in groups:
        torch.nn.utils.clip_grad_norm_(group.tensors, clip)
    optimiser.step()
    return float(value.detach())


@dataclass(frozen=True)
class Mean:
    """A running mean."""

    total: float = 0.0
    weight: int = 0

    @property
    def value(self) -> float:
        """0 where nothing was added."""
        return self.total / max(1, self.weight)

    def add(self, value: float, weight: int) -> Mean:
        """With `value` counted `weight` times."""
        return Mean(self.total + weight * value, self.weight + weight)


def batches(lengths: IntArray, recipe: Recipe) -> Iterator[IntArray]:
    """`recipe.steps` batches of rows, like lengths together; an epoch sees every row once."""
    random = np.random.default_rng(recipe.seed)
    left = recipe.steps
    while left > 0:
        epoch = _epoch(lengths, recipe.batch_size, random)[:left]
        yield from epoch
        left -= len(epoch)


def _epoch(lengths: IntArray, size: int, random: np.random.Generator) -> list[IntArray]:
    order = random.permutation(len(lengths))
    formed: list[IntArray] = []
    for begin in range(0, len(order), POOL * size):
        pool = order[begin : begin + POOL * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        formed += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [formed[i] for i in random.permutation(len(formed))]
