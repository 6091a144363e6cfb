"""Temperatures from held-out scores, and how good held-out posteriors are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learner.arrays import DoubleArray, FloatArray, IntArray

_STEPS = 30  # Newton steps; five to ten are usual
_HALVINGS = 12
_SETTLED = 1e-6  # nats a row that a step may still win
_DAMPING = 1e-6
_BLUNTEST = 0.01  # the least spread: scores that mislead end almost uniform
_USUAL_SPREAD = 2.0  # of calibrated scores over the classes, in nats: where the steps start
_BINS = 15


@dataclass(frozen=True)
class Quality:
    """Of held-out calibrated log-posteriors."""

    accuracy: float  # 0…1
    nll: float  # mean −log p(y | z), nats
    ece: float  # expected calibration error of the top class, 0…1
    rows: int

    @classmethod
    def of(cls, log_posteriors: FloatArray, labels: IntArray) -> Quality:
        """Of log-posteriors (N ≥ 1, C) and labels (N,)."""
        own = log_posteriors[np.arange(len(labels)), labels]
        right = log_posteriors.argmax(axis=1) == labels
        ece = expected_calibration_error(np.exp(log_posteriors.max(axis=1)), right)
        return cls(float(right.mean()), float(-own.mean()), ece, len(labels))


def fit_temperature(scores: FloatArray, labels: IntArray) -> float:
    """The T > 0 that minimises the negative log-likelihood of softmax(scores / T).

    Returns 1 where the scores (N, C) say nothing: no rows, one class, all equal.
    """
    return 1.0 / float(fit_weights(scores[None], labels)[0])


def fit_weights(scores: FloatArray, labels: IntArray) -> FloatArray:
    """The w (K,) ≥ 0 that minimise the negative log-likelihood of softmax(Σ_k w_k scores_k).

    scores (K, N, C). Targets are smoothed to (N + 1) / (N + 2), the rest spread evenly (Platt
    1999), so that a few rows that are all right do not make the head certain. The loss is convex:
    damped Newton steps from equal weights; a member that would weigh less than nothing leaves,
    and the last one left stays almost uniform. Returns 1 / K each where the scores say nothing.
    """
    members, rows, classes = scores.shape
    equal = np.full(members, 1.0 / members)
    if not rows or classes < 2:
        return equal.astype(np.float32)
    centered = scores - scores.mean(axis=2, keepdims=True)
    scale = np.sqrt((centered.astype(np.float64) ** 2).mean(axis=(1, 2)))
    if not (scale > 0).all():
        return equal.astype(np.float32)
    centered /= scale[:, None, None].astype(np.float32)
    weights, active = np.zeros(members), np.arange(members)
    found = _newton(centered, labels)
    while len(active) > 1 and found.min() <= 0:
        active = np.delete(active, found.argmin())
        found = _newton(centered[active], labels)
    weights[active] = np.maximum(found, _BLUNTEST)
    return np.asarray(weights / scale, np.float32)


def expected_calibration_error(confidence: FloatArray, right: np.ndarray) -> float:
    """Σ over 15 equal bins of confidence: share of rows × |accuracy − mean confidence|."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence.astype(np.float64), minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _newton(scores: FloatArray, labels: IntArray) -> DoubleArray:
    """Weights (K,) of centred scores (K, N, C), by Newton steps halved until the loss falls."""
    rows, classes = scores.shape[1:]
    sure = (rows + 1) / (rows + 2)
    smooth = sure - (1 - sure) / (classes - 1)  # centred: an even share over classes adds nothing
    wanted = smooth * scores[:, np.arange(rows), labels].mean(axis=1, dtype=np.float64)
    weights = np.full(len(scores), _USUAL_SPREAD / len(scores))
    loss, slope, curve = _pool_loss(scores, wanted, weights)
    for _ in range(_STEPS):
        step = np.linalg.solve(curve + _DAMPING * np.eye(len(weights)), slope)
        if slope @ step < _SETTLED:
            break
        for halving in range(_HALVINGS):
            trial = weights - step / 2**halving
            found = _pool_loss(scores, wanted, trial)
            if found[0] < loss:
                break
        weights, (loss, slope, curve) = trial, found
    return weights


def _pool_loss(
    scores: FloatArray, wanted: DoubleArray, weights: DoubleArray
) -> tuple[float, DoubleArray, DoubleArray]:
    """Mean cross-entropy, gradient (K,) and Hessian (K, K)."""
    pooled = np.tensordot(weights.astype(np.float32), scores, axes=1)
    top = pooled.max(axis=1, keepdims=True)
    posteriors = np.exp(pooled - top)
    mass = posteriors.sum(axis=1, keepdims=True)
    posteriors /= mass
    loss = float((np.log(mass) + top).mean(dtype=np.float64) - weights @ wanted)
    weighted = scores * posteriors
    expected = weighted.sum(axis=2, dtype=np.float64)  # (K, N)
    rows = scores.shape[1]
    flat = (len(scores), -1)
    second = (weighted.reshape(flat) @ scores.reshape(flat).T).astype(np.float64) / rows
    return loss, expected.mean(axis=1) - wanted, second - expected @ expected.T / rows
