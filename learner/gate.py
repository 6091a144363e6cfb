"""The gate: a candidate must prove itself on held-out examples before it serves.

Candidate, live and frozen answer the same held-out rows. Of each row the logarithm of what each
gave to the true class is compared, *paired*: d = log p_candidate − log p_live. Under the hypothesis
"no better", d is as likely to have either sign, so flipping signs at random tells how often chance
alone gives so high a mean: **a candidate that is no better is accepted with probability at most
`alpha`**. Log-probabilities say more than right and wrong do: where few rows judge, a test that
only counts right answers misses most prompts that are better.

A candidate is accepted when it is better than live (p ≤ alpha), is also right on more of the rows,
`worth` of them at least (with thousands of rows a gain may be certain and too small to matter), is
right at least as often as the frozen backbone, and no single old task is worse at `alpha` (shared
between the tasks, so that many of them do not refuse by chance). On a tie the simpler one, that is
the one already serving, stays; and where the frozen backbone does as well as a live prompt, the
prompt goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from learner.arrays import DoubleArray

BoolArray = NDArray[np.bool_]
Protocol = Literal["no task named", "task named"]

FLOOR = -7.0
"""Least log-posterior that counts: one row that is wrong beyond doubt must not decide alone."""
RESAMPLES = 4999
"""Random sign flips where there are too many to try all."""


class GateConfig(BaseModel):
    """How candidates are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["test", "open", "closed"] = Field(
        "test",
        description="test: candidates must prove themselves; open: every candidate goes live "
        "(benchmarks, ablations); closed: none does",
    )
    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="chance of accepting a candidate that is no better"
    )
    screening: float = Field(
        0.2, gt=0, lt=1, description="the same, for being looked at on all examples at all"
    )
    worth: float = Field(
        0.005, ge=0, lt=1, description="share of the rows that it must be right on more than live"
    )
    rows: int = Field(192, ge=16, description="kept examples a screening looks at, at most")

    @property
    def fewest_judges(self) -> int:
        """Held-out rows without which even a candidate that wins them all is not accepted."""
        return ceil(-log2(self.alpha))

    @property
    def for_screening(self) -> GateConfig:
        """The looser rule of the screening."""
        return self.model_copy(update={"alpha": max(self.alpha, self.screening)})


def chance_of(differences: DoubleArray) -> float:
    """P(a mean as high by flipping the signs of `differences` (n,)): exact for few rows.

    The paired permutation test, one-sided. 1 where nothing differs.
    """
    from scipy.stats import permutation_test

    if not np.any(differences):
        return 1.0
    if len(differences) == 1:
        return 0.5 if differences[0] > 0 else 1.0
    outcome = permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative="greater",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
        vectorized=True,
    )
    return float(outcome.pvalue)


def sign_test(wins: int, losses: int) -> float:
    """P(at least `wins` heads in `wins + losses` fair tosses): exact, one-sided; 1 without any."""
    from scipy.special import bdtrc

    return float(bdtrc(wins - 1, wins + losses, 0.5)) if wins else 1.0


@dataclass(frozen=True, eq=False)
class Answered:
    """One contender on n held-out rows. log_posterior: (n,) of the true class; right: (n,)."""

    log_posterior: DoubleArray
    right: BoolArray

    @classmethod
    def of(cls, log_posteriors: NDArray[Any], targets: NDArray[Any]) -> Answered:
        """From log-posteriors (n, C) and the true columns (n,)."""
        true = log_posteriors[np.arange(len(targets)), targets].astype(np.float64)
        return cls(np.maximum(true, FLOOR), log_posteriors.argmax(axis=1) == targets)

    def take(self, rows: BoolArray) -> Answered:
        """Some of the rows."""
        return Answered(self.log_posterior[rows], self.right[rows])


@dataclass(frozen=True, eq=False)
class Answers:
    """The three contenders on the same rows."""

    candidate: Answered
    live: Answered
    frozen: Answered

    def __len__(self) -> int:
        return len(self.live.right)

    def take(self, rows: BoolArray) -> Answers:
        """Some of the rows."""
        return Answers(self.candidate.take(rows), self.live.take(rows), self.frozen.take(rows))

    @property
    def gain(self) -> DoubleArray:
        """(n,) log p_candidate − log p_live of the true class."""
        return self.candidate.log_posterior - self.live.log_posterior

    @property
    def frozen_suffices(self) -> bool:
        """Whether the frozen backbone does as well as live: then the simpler one serves."""
        better = self.frozen.log_posterior.mean() >= self.live.log_posterior.mean()
        return bool(better and self.frozen.right.sum() >= self.live.right.sum())

    @property
    def wins(self) -> int:
        return int(np.sum(self.candidate.right & ~self.live.right))

    @property
    def losses(self) -> int:
        return int(np.sum(self.live.right & ~self.candidate.right))


@dataclass(frozen=True)
class Verdict:
    """What the gate decided about one protocol, and on what ground."""

    protocol: Protocol
    accepted: bool
    frozen_suffices: bool
    reason: str
    p_value: float
    wins: int
    losses: int
    accuracy: Mapping[str, float]
    tasks: Mapping[str, Mapping[str, float]]

    def report(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "protocol": self.protocol,
            "accepted": self.accepted,
            "reason": self.reason,
            "p_value": round(self.p_value, 6),
            "wins": self.wins,
            "losses": self.losses,
            "accuracy": dict(self.accuracy),
            "tasks": {name: dict(scores) for name, scores in self.tasks.items()},
        }


def judge(
    answers: Answers, owners: Sequence[str], protocol: Protocol, config: GateConfig
) -> Verdict:
    """Decide on a candidate from paired answers; `owners` names each row's task."""
    tasks = {name: answers.take(_of(owners, name)) for name in dict.fromkeys(owners)}
    p_value = chance_of(answers.gain)
    accepted, reason = _decide(answers, tasks, p_value, config)
    return Verdict(
        protocol=protocol,
        accepted=accepted,
        frozen_suffices=config.mode == "test" and len(answers) > 0 and answers.frozen_suffices,
        reason=reason,
        p_value=p_value,
        wins=answers.wins,
        losses=answers.losses,
        accuracy=_accuracy(answers),
        tasks={name: _accuracy(of_task) for name, of_task in tasks.items()},
    )


def _of(owners: Sequence[str], name: str) -> BoolArray:
    return np.array([owner == name for owner in owners], dtype=bool)


def _decide(
    whole: Answers, tasks: Mapping[str, Answers], p_value: float, config: GateConfig
) -> tuple[bool, str]:
    if config.mode == "open":
        return True, "the gate is open"
    if config.mode == "closed":
        return False, "the gate is closed"
    if len(whole) == 0:
        return False, "no held-out examples to judge with (a class needs four)"
    if p_value > config.alpha:
        return False, f"not better than live beyond chance (p {p_value:.3f} > {config.alpha})"
    if whole.wins - whole.losses < max(1, config.worth * len(whole)):
        return False, f"surer, but not right more often ({whole.wins} won, {whole.losses} lost)"
    if whole.candidate.right.sum() < whole.frozen.right.sum():
        return False, "right less often than the frozen backbone"
    for name, of_task in tasks.items():
        if len(tasks) > 1 and chance_of(-of_task.gain) <= config.alpha / len(tasks):
            return False, f"worse on task {name!r}"
    return True, f"better than live (p {p_value:.3f})"


def _accuracy(answers: Answers) -> dict[str, float]:
    rows = len(answers)
    contenders = {
        "candidate": answers.candidate,
        "live": answers.live,
        "frozen": answers.frozen,
    }
    shares = {
        name: round(float(of.right.mean()), 6) if rows else 0.0 for name, of in contenders.items()
    }
    return {"rows": rows, **shares}
