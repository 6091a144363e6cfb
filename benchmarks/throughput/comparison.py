"""Servers loaded in turn by the same clients, round after round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.peers.examination import accuracy
from benchmarks.peers.peer import Peer
from benchmarks.streams import Example
from benchmarks.throughput.clients import answers, closed_loop
from benchmarks.throughput.contestants import Contestant, alone, contestants
from benchmarks.throughput.plan import Plan, Say

EXAMINED: Final = 400
"""Test texts, at most, on which accuracy is measured, spread evenly over all."""


@dataclass(frozen=True)
class Turn:
    """One server in one round.

    requests: answered a second;  p50, p99: milliseconds;  cpu: milliseconds a request, of all its
    processes;  failed: requests, the refused ones too
    """

    requests: float
    p50: float
    p99: float
    cpu: float
    failed: int


@dataclass(frozen=True)
class Loaded:
    """A server's accuracy on the examined texts, 0…1, and its turns."""

    name: str
    accuracy: float
    turns: list[Turn]

    def median(self, of: Callable[[Turn], float]) -> float:
        """Over its turns."""
        return median(of(turn) for turn in self.turns)


@dataclass(frozen=True)
class Comparison:
    """Ours first, then the peers;  examined: texts;  left_out: why, by name."""

    servers: list[Loaded]
    examined: int
    left_out: dict[str, str]

    def ratios(self, other: Loaded) -> list[float]:
        """Our requests a second to the other's, round by round; NaN where it answered none."""
        pairs = zip(self.servers[0].turns, other.turns, strict=True)
        return [ours.requests / its.requests if its.requests else nan for ours, its in pairs]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"ratios": {one.name: self.ratios(one) for one in self.servers}}


def run_comparison(plan: Plan, peers: Sequence[Peer], cache: Path, say: Say) -> Comparison:
    """Start all, ask each for the labels of test texts, and load one after the other."""
    tests = [one for task in plan.tasks() for one in task.test]
    examined = tests[:: -(-len(tests) // EXAMINED)]
    texts = [one.text for one in tests]
    with contestants(plan, peers, cache, say) as (started, left_out):
        loaded = [Loaded(one.name, _accuracy(plan, one, examined), []) for one in started]
        for number in range(plan.rounds):
            for one, kept in zip(started, loaded, strict=True):
                with alone(one, started):
                    kept.turns.append(load_once(one, texts, plan.clients, plan.seconds))
                say(
                    f"round {number + 1} of {plan.rounds}, {one.name}: "
                    f"{kept.turns[-1].requests:.0f} requests/s"
                )
    return Comparison(loaded, len(examined), left_out)


def _accuracy(plan: Plan, one: Contestant, rows: Sequence[Example]) -> float:
    """Also warms connections and pages."""
    texts = [row.text for row in rows]
    asked = answers(one.server.url, texts, clients=plan.clients, form=one.form)
    return accuracy(asyncio.run(asked), [row.label for row in rows])


def load_once(one: Contestant, texts: Sequence[str], clients: int, seconds: float) -> Turn:
    """Single texts by so many clients for so long."""
    before = one.server.cpu_seconds()
    loop = closed_loop(
        one.server.url, texts, clients=clients, inputs=1, seconds=seconds, form=one.form
    )
    outcome = asyncio.run(loop)
    return Turn(
        requests=outcome.inputs_per_second,
        p50=outcome.milliseconds(50),
        p99=outcome.milliseconds(99),
        cpu=1000 * (one.server.cpu_seconds() - before) / max(1, outcome.inputs),
        failed=outcome.unanswered,
    )
