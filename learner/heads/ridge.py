"""Ridge regression on random features (after RanPAC, METHODS §1), its penalty by cross-fitting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learner.arrays import DoubleArray, FloatArray, IntArray
from learner.heads.folds import Folds, Indices
from learner.heads.projected import ProjectedHead, project

PENALTIES = (0.05, 0.15, 0.45, 1.35, 4.0, 12.0)  # in units of the mean of |h|², tr(K)/N
_BYTES = 4  # of each random number
_BLOCK = 2048  # rows projected at a time in the primal form


@dataclass(frozen=True)
class RidgeFit:
    """A solved head and how its judged rows score when their fold is left out."""

    head: ProjectedHead
    held_out: FloatArray  # (J, C)
    penalty: float


@lru_cache(maxsize=8)
def random_projection(width: int, size: int, seed: int) -> FloatArray:
    """(width, size) fp32, nearly standard normal: the sum of four of Philox's random bytes, scaled.

    numpy promises the raw bits in every release, which it does not for normal numbers: so a seed
    names one projection for ever, and a stored head need not carry it. Read-only: all heads share
    the array.
    """
    words = np.random.Philox(seed).random_raw(-(-width * size // 2)).astype("<u8")
    quarters = words.view(np.uint8).reshape(-1, _BYTES)[: width * size]
    sums = quarters.sum(axis=1, dtype=np.float32)
    spread = (_BYTES * (256**2 - 1) / 12) ** 0.5
    projection = (sums - np.float32(_BYTES * 255 / 2)) / np.float32(spread)
    made = np.asarray(projection.reshape(width, size), np.float32)
    made.flags.writeable = False
    return made


def fit_ridge(
    features: FloatArray,
    labels: IntArray,
    classes: int,
    projection: FloatArray,
    folds: Folds,
    penalty: float | None = None,
) -> RidgeFit:
    """Ridge regression of one-hot labels on relu(z R), with R (D, M).

    Dual form (N × N, fp32) for fewer rows than random features, else primal (M × M, fp64).
    penalty: λ in units of the mean row energy; None walks up `PENALTIES` while the squared
    error of the held-out rows falls (it has one valley); without judged rows, the first.
    """
    rows = _Rows(features, np.eye(classes, dtype=np.float32)[labels], projection)
    form: _Solved = _Dual(rows) if len(features) < projection.shape[1] else _Primal(rows)
    chosen, held_out = best_penalty(
        form, rows.targets, folds, PENALTIES if penalty is None else (penalty,)
    )
    head = ProjectedHead(projection, form.weights(chosen), np.zeros(classes, np.float32))
    return RidgeFit(head, held_out, chosen)


def best_penalty(
    form: Form, wanted: FloatArray, folds: Folds, penalties: Iterable[float]
) -> tuple[float, FloatArray]:
    """The best penalty for targets (N, C) and its held-out scores (J, C)."""
    targets = wanted[folds.judged]
    best: tuple[float, FloatArray] | None = None
    least = np.inf
    for penalty in penalties:
        held_out = np.empty(targets.shape, np.float32)
        for fold in folds:
            held_out[fold.places] = form.scores(penalty, fold.kept, fold.left_out, fold.asked)
        error = float(((held_out - targets) ** 2).sum())
        if best is None or error < least:
            best, least = (penalty, held_out), error
        if error > least or not len(targets):
            break
    assert best is not None
    return best


@dataclass(frozen=True)
class _Rows:
    features: FloatArray  # (N, D)
    targets: FloatArray  # (N, C) one-hot
    projection: FloatArray  # (D, M)

    def hidden(self, chosen: Indices | slice) -> FloatArray:
        return project(self.features[chosen], self.projection)

    def blocks(self, chosen: Indices) -> Iterable[tuple[FloatArray, FloatArray]]:
        """(H, Y) of the chosen rows, some at a time: all of H may be too large to hold."""
        for start in range(0, len(chosen), _BLOCK):
            block = chosen[start : start + _BLOCK]
            yield self.hidden(block), self.targets[block]


class Form(Protocol):
    """Ridge regression in one of its two forms."""

    def scores(
        self, penalty: float, kept: Indices, left_out: Indices, asked: Indices
    ) -> FloatArray:
        """Scores (A, C) of the rows asked, by a fit on the rows kept: all but those left out."""


class _Solved(Form, Protocol):
    def weights(self, penalty: float) -> FloatArray:
        """(M, C) of the fit on all rows."""


class KernelForm:
    """α = (K + λI)⁻¹ Y for a kernel K (N, N): rows are left out by leaving out of K."""

    def __init__(self, kernel: FloatArray, targets: FloatArray) -> None:
        self.kernel, self.targets = kernel, targets
        self.energy = float(np.trace(self.kernel)) / len(self.kernel) or 1.0

    def scores(
        self, penalty: float, kept: Indices, left_out: Indices, asked: Indices
    ) -> FloatArray:
        """See `Form`."""
        alpha = _solve(self.kernel[np.ix_(kept, kept)], penalty * self.energy, self.targets[kept])
        scores: FloatArray = self.kernel[np.ix_(asked, kept)] @ alpha
        return scores


class _Dual(KernelForm):
    """W = Hᵀ α with K = H Hᵀ."""

    def __init__(self, rows: _Rows) -> None:
        self.hidden = rows.hidden(slice(None))
        super().__init__(self.hidden @ self.hidden.T, rows.targets)

    def weights(self, penalty: float) -> FloatArray:
        alpha = _solve(self.kernel.copy(), penalty * self.energy, self.targets)
        weights: FloatArray = self.hidden.T @ alpha
        return weights


class _Primal:
    """W = (G + λI)⁻¹ Q with G = Hᵀ H, Q = Hᵀ Y: rows are left out by subtracting their sums."""

    def __init__(self, rows: _Rows) -> None:
        self.rows = rows
        self.gram, self.cross = self._sums(np.arange(len(rows.features)))
        self.energy = float(np.trace(self.gram)) / len(rows.features) or 1.0

    def scores(
        self, penalty: float, kept: Indices, left_out: Indices, asked: Indices
    ) -> FloatArray:
        gram, cross = self._sums(left_out)
        weights = _solve(self.gram - gram, penalty * self.energy, self.cross - cross)
        scores: FloatArray = self.rows.hidden(asked) @ weights.astype(np.float32)
        return scores

    def weights(self, penalty: float) -> FloatArray:
        found = _solve(self.gram.copy(), penalty * self.energy, self.cross)
        return found.astype(np.float32)

    def _sums(self, chosen: Indices) -> tuple[DoubleArray, DoubleArray]:
        """G (M, M) and Q (M, C) of the chosen rows: fp32 products, summed in fp64."""
        size, classes = self.rows.projection.shape[1], self.rows.targets.shape[1]
        gram, cross = np.zeros((size, size)), np.zeros((size, classes))
        for hidden, targets in self.rows.blocks(chosen):
            gram += hidden.T @ hidden
            cross += hidden.T @ targets
        return gram, cross


def _solve(matrix: NDArray[Any], ridge: float, targets: NDArray[Any]) -> NDArray[Any]:
    """(matrix + ridge · I)⁻¹ targets by Cholesky; overwrites the (symmetric) matrix."""
    from scipy.linalg import cho_factor, cho_solve

    matrix[np.diag_indices_from(matrix)] += matrix.dtype.type(ridge)
    # Its transpose is itself, but in the order in which LAPACK works in place.
    factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
    solution: NDArray[Any] = cho_solve(factor, targets, check_finite=False)
    return solution
