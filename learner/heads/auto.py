"""Fit the head that does best on rows held out of its own fit, and calibrate it on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, IntArray
from learner.heads.calibration import Quality, fit_temperature, fit_weights
from learner.heads.config import HeadConfig
from learner.heads.folds import Folds, Indices
from learner.heads.head import Head, log_softmax
from learner.heads.lda import SHRINKAGES, fit_lda, held_out_lda
from learner.heads.linear import LinearHead
from learner.heads.logistic import fit_logistic, held_out_logistic
from learner.heads.mixture import MixtureHead
from learner.heads.nearest import fit_nearest, held_out_nearest
from learner.heads.projected import ProjectedHead
from learner.heads.ridge import fit_ridge, random_projection
from learner.statistics import ClassStatistics, check_nonempty, check_rows

_TIE = 1.0  # accuracies within so many standard errors of the best count as equal
_SLIGHT = 0.005  # nats
_MANY_ROWS = 1000  # above, three folds instead of five

# Where no class has two examples nothing can be held out; these fit the two sets of docs/heads.md.
UNJUDGED_TEMPERATURES = {"lda": 25.0, "ridge": 0.05, "logistic": 0.37, "nearest": 0.06}


@dataclass(frozen=True)
class FittedHead:
    """A calibrated head, the classes of its columns, and how every kind tried did."""

    head: Head
    classes: tuple[str, ...]
    chosen: str  # the kind: lda, ridge, logistic, nearest or mixture
    qualities: Mapping[str, Quality] = field(default_factory=dict)  # on held-out rows, by kind
    setting: float | None = None  # the ridge penalty or LDA's shrinkage that was chosen
    held_out: FloatArray | None = None  # (J, C) calibrated log-posteriors of the judged rows
    judged: Indices | None = None  # (J,) which rows those are
    truth: Indices | None = None  # (J,) their labels

    @property
    def quality(self) -> Quality | None:
        """The chosen kind's; None where no class had two examples, so nothing could be held out."""
        return self.qualities.get(self.chosen)


def fit_head(
    features: FloatArray,
    labels: IntArray,
    classes: Sequence[str],
    config: HeadConfig | None = None,
    warm: FittedHead | None = None,
    judges: NDArray[np.bool_] | None = None,
) -> FittedHead:
    """The best head for features (N, D) whose labels (N,) index `classes`.

    All kinds are judged, their settings chosen and their temperatures fitted on the same
    stratified folds. warm: an earlier fit to start logistic regression from; the optimum is the
    same. judges: (N,) which rows may be held out to judge; None: all.
    Raises ValueError for no rows, a class without rows, and what `check_rows` refuses.
    """
    bench = _Bench.of(
        np.asarray(features, np.float32), labels, classes, config or HeadConfig(), judges
    )
    trials = bench.trials(warm)
    best = trials[simplest_of_the_best([trial.quality for trial in trials])]
    qualities = {trial.kind: trial.quality for trial in trials if trial.quality}
    return FittedHead(
        best.head,
        tuple(classes),
        best.kind,
        qualities,
        best.setting,
        best.held_out,
        bench.folds.judged,
        bench.judges,
    )


@dataclass(frozen=True)
class _Trial:
    kind: str
    head: LinearHead | ProjectedHead | MixtureHead  # calibrated
    held_out: FloatArray  # (J, C) calibrated log-posteriors of the judged rows
    quality: Quality | None
    setting: float | None = None


def simplest_of_the_best(qualities: Sequence[Quality | None]) -> int:
    """The place of the lowest NLL among those whose accuracy is the highest within its noise.

    They come simplest first, and a slightly lower NLL does not pay for a dearer head.
    """
    judged = [(place, quality) for place, quality in enumerate(qualities) if quality is not None]
    if len(judged) < 2:
        return 0
    top = max(quality.accuracy for _, quality in judged)
    noise = _TIE * (top * (1 - top) / judged[0][1].rows) ** 0.5
    tied = [(place, quality) for place, quality in judged if quality.accuracy >= top - noise]
    least = min(quality.nll for _, quality in tied)
    return next(place for place, quality in tied if quality.nll <= least + _SLIGHT)


@dataclass(frozen=True)
class _Bench:
    """The rows all kinds are fitted on, and how they are held out."""

    features: FloatArray
    labels: Indices
    statistics: ClassStatistics
    folds: Folds
    config: HeadConfig

    @classmethod
    def of(
        cls,
        features: FloatArray,
        labels: IntArray,
        classes: Sequence[str],
        config: HeadConfig,
        may_judge: NDArray[np.bool_] | None = None,
    ) -> _Bench:
        labels = check_rows(features, labels, len(classes))
        statistics = ClassStatistics.of(features, labels, classes)
        check_nonempty(statistics)
        count = config.folds or (5 if len(labels) <= _MANY_ROWS else 3)
        folds = Folds.stratified(labels, count, config.seed, config.judged_rows, may_judge)
        return cls(features, labels, statistics, folds, config)

    @property
    def classes(self) -> int:
        return len(self.statistics.classes)

    def trials(self, warm: FittedHead | None) -> list[_Trial]:
        """Of the kinds that the config asks for, simplest first."""
        kind = self.config.kind
        if kind == "nearest":
            return [self.nearest()]
        if kind == "lda":
            return [self.lda()]
        if kind == "ridge":
            return [self.ridge()]
        if kind == "logistic":
            return [self.logistic(warm)]
        if kind == "auto" and not len(self.judges):
            return [self.logistic(warm) if self.logistic_fits() else self.lda()]
        if kind == "auto" and not self.logistic_fits():
            return [self.lda(), self.ridge()] if self.lda_fits() else [self.ridge()]
        members = [self.logistic(warm), self.ridge()]
        mixture = self.mixture(members)
        if kind == "mixture":
            return [mixture]
        return [*([self.lda()] if self.lda_fits() else []), *members, mixture]

    def lda_fits(self) -> bool:
        """Whether the features are narrow enough for `auto` to try LDA."""
        return bool(self.features.shape[1] <= self.config.lda_width)

    def logistic_fits(self) -> bool:
        """Whether logistic regression is cheap enough for `auto`."""
        return bool(self.features.size * self.classes <= self.config.logistic_limit)

    def nearest(self) -> _Trial:
        scores = held_out_nearest(self.features, self.labels, self.statistics, self.folds)
        return self.calibrated("nearest", fit_nearest(self.statistics), scores)

    def lda(self) -> _Trial:
        rows = self.features, self.labels, self.statistics
        fixed = self.config.shrinkage
        shrinkages = SHRINKAGES if fixed is None else (fixed,)
        held_out = held_out_lda(*rows, self.folds, shrinkages)
        if not len(self.judges):
            return self.calibrated("lda", fit_lda(self.statistics, fixed), held_out[0], fixed)
        losses = [self.loss(scores) for scores in held_out]
        best = losses.index(min(losses))
        head = fit_lda(self.statistics, shrinkages[best])
        return self.calibrated("lda", head, held_out[best], shrinkages[best])

    def ridge(self) -> _Trial:
        config = self.config
        projection = random_projection(self.features.shape[1], config.projection, config.seed)
        fit = fit_ridge(
            self.features, self.labels, self.classes, projection, self.folds, config.penalty
        )
        return self.calibrated("ridge", fit.head, fit.held_out, fit.penalty)

    def logistic(self, warm: FittedHead | None) -> _Trial:
        rows, penalty = (self.features, self.labels, self.classes), self.config.inverse_penalty
        start = warm_start(warm, self.statistics.classes)
        head = fit_logistic(*rows, penalty, self.config.iterations, start)
        return self.calibrated("logistic", head, held_out_logistic(*rows, self.folds, penalty))

    def mixture(self, members: Sequence[_Trial]) -> _Trial:
        held_out = np.stack([trial.held_out for trial in members])
        weights = fit_weights(held_out, self.judges)
        head = MixtureHead(tuple(trial.head for trial in members), weights)
        pooled = log_softmax(np.tensordot(weights, held_out, axes=1))
        return self.trial("mixture", head, pooled, members[1].setting)

    def calibrated(
        self,
        kind: str,
        head: LinearHead | ProjectedHead,
        scores: FloatArray,
        setting: float | None = None,
    ) -> _Trial:
        """With the temperature that the held-out scores (J, C) ask for."""
        judges = self.judges
        temperature = (
            fit_temperature(scores, judges) if len(judges) else UNJUDGED_TEMPERATURES[kind]
        )
        held_out = log_softmax(scores / np.float32(temperature))
        return self.trial(kind, replace(head, temperature=temperature), held_out, setting)

    def trial(
        self,
        kind: str,
        head: LinearHead | ProjectedHead | MixtureHead,
        held_out: FloatArray,
        setting: float | None,
    ) -> _Trial:
        quality = Quality.of(held_out, self.judges) if len(self.judges) else None
        return _Trial(kind, head, held_out, quality, setting)

    def loss(self, scores: FloatArray) -> float:
        """The NLL of held-out scores (J, C) at their best temperature."""
        temperature = np.float32(fit_temperature(scores, self.judges))
        return Quality.of(log_softmax(scores / temperature), self.judges).nll

    @property
    def judges(self) -> Indices:
        return self.labels[self.folds.judged]


def warm_start(warm: FittedHead | None, classes: Sequence[str]) -> LinearHead | None:
    """The logistic weights of an earlier fit, by class name; zeros for classes it did not know."""
    if warm is None or warm.chosen not in ("logistic", "mixture"):
        return None
    members = warm.head.members if isinstance(warm.head, MixtureHead) else (warm.head,)
    linear = next((member for member in members if isinstance(member, LinearHead)), None)
    if linear is None:
        return None
    column = {name: place for place, name in enumerate(warm.classes)}
    known = [place for place, name in enumerate(classes) if name in column]
    source = [column[classes[place]] for place in known]
    weights = np.zeros((linear.width, len(classes)), np.float32)
    bias = np.zeros(len(classes), np.float32)
    weights[:, known], bias[known] = linear.weights[:, source], linear.bias[source]
    return LinearHead(weights, bias)
