"""The gate: a candidate must prove itself on held-out examples before it serves.

Candidate, live and frozen answers to the same held-out rows are compared *paired*: only rows where
two of them disagree in being right say anything (McNemar). Under the hypothesis "no better", each
such row is a fair coin, so the exact binomial tail is the error rate: the chance that a candidate
that is no better than what it would replace is accepted is at most `alpha`.

A candidate is accepted when it is better than live (p ≤ alpha), not worse than the frozen backbone
in the count of right answers, and no single old task is worse at `alpha`. On a tie the simpler one,
that is the one already serving, stays; and where the frozen backbone is right as often as a live
prompt, the prompt goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, comb, log2
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

BoolArray = NDArray[np.bool_]
Protocol = Literal["no task named", "task named"]


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
    rows: int = Field(192, ge=16, description="kept examples a screening looks at, at most")

    @property
    def fewest_judges(self) -> int:
        """Held-out rows without which even a candidate that wins them all is not accepted."""
        return ceil(-log2(self.alpha))

    @property
    def for_screening(self) -> GateConfig:
        """The looser rule of the screening."""
        return self.model_copy(update={"alpha": max(self.alpha, self.screening)})


def binomial_tail(wins: int, losses: int) -> float:
    """P(at least `wins` heads in `wins + losses` fair tosses): the exact one-sided sign test."""
    tosses = wins + losses
    if tosses == 0:
        return 1.0
    return float(sum(comb(tosses, k) for k in range(wins, tosses + 1)) / 2**tosses)


@dataclass(frozen=True)
class Answers:
    """Which held-out rows each contender got right, `(n,)` each, aligned."""

    candidate: BoolArray
    live: BoolArray
    frozen: BoolArray

    @property
    def frozen_suffices(self) -> bool:
        """Whether the frozen backbone is right as often as live: then the simpler one serves."""
        return bool(self.frozen.sum() >= self.live.sum())

    @property
    def wins(self) -> int:
        return int(np.sum(self.candidate & ~self.live))

    @property
    def losses(self) -> int:
        return int(np.sum(self.live & ~self.candidate))


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


def judge(answers: Mapping[str, Answers], protocol: Protocol, config: GateConfig) -> Verdict:
    """Decide on a candidate from its paired answers by task."""
    whole = _concat(answers)
    p_value = binomial_tail(whole.wins, whole.losses)
    accepted, reason = _decide(answers, whole, p_value, config)
    return Verdict(
        protocol=protocol,
        accepted=accepted,
        frozen_suffices=config.mode == "test" and len(whole.live) > 0 and whole.frozen_suffices,
        reason=reason,
        p_value=p_value,
        wins=whole.wins,
        losses=whole.losses,
        accuracy=_accuracy(whole),
        tasks={name: _accuracy(of_task) for name, of_task in answers.items()},
    )


def _decide(
    answers: Mapping[str, Answers], whole: Answers, p_value: float, config: GateConfig
) -> tuple[bool, str]:
    if config.mode == "open":
        return True, "the gate is open"
    if config.mode == "closed":
        return False, "the gate is closed"
    if len(whole.live) == 0:
        return False, "no held-out examples to judge with (a class needs four)"
    if p_value > config.alpha:
        return False, f"not better than live beyond chance (p {p_value:.3f} > {config.alpha})"
    if whole.candidate.sum() < whole.frozen.sum():
        return False, "worse than the frozen backbone"
    for name, of_task in answers.items():
        if binomial_tail(of_task.losses, of_task.wins) <= config.alpha and of_task.losses:
            return False, f"worse on task {name!r} ({of_task.losses} lost, {of_task.wins} won)"
    return True, f"better than live (p {p_value:.3f})"


def _concat(answers: Mapping[str, Answers]) -> Answers:
    empty = np.zeros(0, dtype=bool)
    return Answers(
        candidate=np.concatenate([empty, *(a.candidate for a in answers.values())]),
        live=np.concatenate([empty, *(a.live for a in answers.values())]),
        frozen=np.concatenate([empty, *(a.frozen for a in answers.values())]),
    )


def _accuracy(answers: Answers) -> dict[str, float]:
    rows = len(answers.live)
    return {
        "rows": rows,
        "candidate": round(float(answers.candidate.mean()), 6) if rows else 0.0,
        "live": round(float(answers.live.mean()), 6) if rows else 0.0,
        "frozen": round(float(answers.frozen.mean()), 6) if rows else 0.0,
    }
