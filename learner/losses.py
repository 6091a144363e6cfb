"""What a prompt is trained on: cross entropy under a head that cannot simply memorise.

`CrossFitRidge` fits the head of a batch on the features of all *other* rows; worth 3 points over a
trained head, which memorises few rows and starves the prompt (METHODS §7). Above about twenty
classes its fixed temperature hurts, and `CosineHead` trains a head along instead.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot

from learner.arrays import FloatArray, IntArray

FITTED_ON = 512
"""Bank rows drawn for each fit where the bank is over its limit."""


class Objective(Protocol):
    """A loss on features, with the parameters it trains itself."""

    def parameters(self) -> list[Tensor]:
        """Trained beside the prompt; may be empty."""
        ...

    def loss(self, features: Tensor, index: IntArray) -> Tensor:
        """Mean loss of the rows `index`, whose features `(B, D)` carry the gradient."""
        ...


class CrossFitRidge:
    """Cross entropy of 5 × the ridge regression (λ = 1, centred) fitted on all other rows.

    The features of a batch replace their old values in the bank after the loss is computed, so the
    bank follows the prompt one epoch behind.
    """

    def __init__(
        self,
        features: FloatArray,
        labels: IntArray,
        classes: int,
        *,
        ridge: float,
        scale: float,
        limit: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """`features (n, D)` are those under the prompt training starts from, of length 1."""
        self._bank = torch.tensor(features, device=device)
        self._labels = torch.tensor(labels, device=device, dtype=torch.long)
        self._targets = one_hot(self._labels, classes).to(self._bank.dtype)
        self._ridge, self._scale, self._limit = ridge, scale, limit
        self._random = torch.Generator().manual_seed(seed)

    def parameters(self) -> list[Tensor]:
        """None: the head is solved, not trained."""
        return []

    def loss(self, features: Tensor, index: IntArray) -> Tensor:
        """The gradient flows through the batch's features alone."""
        rows = torch.as_tensor(index, device=features.device)
        others = self._others(rows)
        weight, intercept = fit_ridge(self._bank[others], self._targets[others], self._ridge)
        logits = self._scale * (features @ weight + intercept)
        self._bank[rows] = features.detach()
        return cross_entropy(logits, self._labels[rows])

    def _others(self, rows: Tensor) -> Tensor:
        """The bank rows to fit on: all others, or a random part of them."""
        outside = torch.ones(len(self._bank), dtype=torch.bool, device=rows.device)
        outside[rows] = False
        others = outside.nonzero().squeeze(1)
        if len(self._bank) <= self._limit:
            return others
        drawn = torch.randperm(len(others), generator=self._random)[:FITTED_ON]
        return others[drawn.to(others.device)]


@torch.no_grad()
def fit_ridge(features: Tensor, targets: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Centred ridge regression: weight `(D, C)` and intercept `(C,)`.

    Solved in the smaller of the dual `(n, n)` and the primal `(D, D)` form; they agree.
    """
    centre, base = features.mean(dim=0), targets.mean(dim=0)
    inputs, outputs = features - centre, targets - base
    rows, width = inputs.shape
    if rows <= width:
        gram = inputs @ inputs.T
        gram.diagonal().add_(ridge)
        weight = inputs.T @ torch.cholesky_solve(outputs, torch.linalg.cholesky(gram))
    else:
        gram = inputs.T @ inputs
        gram.diagonal().add_(ridge)
        weight = torch.cholesky_solve(inputs.T @ outputs, torch.linalg.cholesky(gram))
    return weight, base - centre @ weight


class CosineHead:
    """Cross entropy of 16 × the cosine to one trained direction per class."""

    def __init__(
        self,
        features: FloatArray,
        labels: IntArray,
        classes: int,
        *,
        scale: float,
        device: torch.device | str = "cpu",
    ) -> None:
        """Starts at the class means of `features (n, D)`; a class without rows at their mean."""
        self._labels = torch.tensor(labels, device=device, dtype=torch.long)
        self._scale = scale
        rows = torch.tensor(features, device=device)
        counts = torch.bincount(self._labels, minlength=classes)[:, None]
        sums = torch.zeros(classes, rows.shape[1], device=device).index_add_(0, self._labels, rows)
        means = torch.where(counts > 0, sums / counts.clamp(min=1), rows.mean(dim=0))
        self._directions = normalize(means, dim=1).requires_grad_()

    def parameters(self) -> list[Tensor]:
        """The class directions `(C, D)`."""
        return [self._directions]

    def loss(self, features: Tensor, index: IntArray) -> Tensor:
        """The gradient flows through features and directions."""
        cosines = normalize(features, dim=1) @ normalize(self._directions, dim=1).T
        rows = torch.as_tensor(index, device=features.device)
        return cross_entropy(self._scale * cosines, self._labels[rows])
