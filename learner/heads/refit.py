"""Fit a head anew as an earlier one was chosen: same kind, settings and calibration, no folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from learner.arrays import FloatArray, IntArray
from learner.heads.auto import FittedHead, warm_start
from learner.heads.config import HeadConfig
from learner.heads.folds import Folds
from learner.heads.head import Head
from learner.heads.lda import fit_lda
from learner.heads.linear import LinearHead
from learner.heads.logistic import fit_logistic
from learner.heads.mixture import MixtureHead
from learner.heads.nearest import fit_nearest
from learner.heads.projected import ProjectedHead
from learner.heads.ridge import fit_ridge, random_projection
from learner.statistics import ClassStatistics, check_nonempty, check_rows

_ITERATIONS = 8  # from warm weights, where no class is new


def refit_head(
    features: FloatArray,
    labels: IntArray,
    classes: Sequence[str],
    config: HeadConfig,
    known: FittedHead,
) -> FittedHead:
    """`known` fitted to features (N, D) whose labels (N,) index `classes`.

    Temperatures, pool weights and qualities are those of `known`: nothing is held out.
    Raises what `fit_head` raises.
    """
    rows = np.asarray(features, np.float32)
    own = check_rows(rows, labels, len(classes))
    check_nonempty(ClassStatistics.of(rows[:, :1], own, classes))

    def solved(old: Head, kind: str) -> Head:
        if isinstance(old, MixtureHead):
            members = (solved(old.members[0], "logistic"), solved(old.members[1], "ridge"))
            return MixtureHead(members, old.weights)
        if isinstance(old, ProjectedHead):
            projection = random_projection(rows.shape[1], old.projection.shape[1], config.seed)
            nobody = Folds(np.full(len(own), -1), np.empty(0, np.intp))
            head = fit_ridge(rows, own, len(classes), projection, nobody, known.setting).head
            return replace(head, temperature=old.temperature)
        assert isinstance(old, LinearHead), "heads are linear, projected or mixtures"
        return replace(_linear(kind), temperature=old.temperature)

    def _linear(kind: str) -> LinearHead:
        if kind == "lda":
            return fit_lda(ClassStatistics.of(rows, own, classes), known.setting)
        if kind == "nearest":
            return fit_nearest(ClassStatistics.of(rows, own, classes))
        start = warm_start(known, classes)
        iterations = _ITERATIONS if set(classes) == set(known.classes) else config.iterations
        return fit_logistic(rows, own, len(classes), config.inverse_penalty, iterations, start)

    head = solved(known.head, known.chosen)
    return replace(known, head=head, classes=tuple(classes), held_out=None, judged=None, truth=None)
