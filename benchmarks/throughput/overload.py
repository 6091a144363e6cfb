"""Requests at several times what the server can do, beside the same at 80 % of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.running_server import RunningServer, running_server
from benchmarks.taught import teach
from benchmarks.throughput.clients import Outcome, closed_loop, open_loop
from benchmarks.throughput.plan import Plan, Say

USUAL: Final = 0.8
"""Of the measured capacity: the load that overload is compared with."""
_LONGEST_RECOVERY: Final = 30.0  # seconds


@dataclass(frozen=True)
class Phase:
    """An open loop. asked, answered: a second;  refused: with 429 and Retry-After;  failed: in any
    other way;  p50, p99: milliseconds of the answered ones"""

    asked: float
    answered: float
    refused: int
    failed: int
    p50: float
    p99: float


@dataclass(frozen=True)
class Turn:
    """capacity: single texts a second;  recovery: seconds from the last answer of the overload
    until one is answered as quickly as 99 % are under the usual load"""

    capacity: float
    usual: Phase
    overload: Phase
    recovery: float

    @property
    def ratio(self) -> float:
        """p99 of the answered requests, under overload to the usual."""
        return self.overload.p99 / self.usual.p99


@dataclass(frozen=True)
class Overload:
    """factor: of the capacity, at which requests arrive."""

    factor: float
    turns: list[Turn]

    @property
    def ratio(self) -> float:
        """The median over turns."""
        return median(turn.ratio for turn in self.turns)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"ratio": self.ratio}


def run_overload(plan: Plan, factor: float, say: Say) -> Overload:
    """Learn, serve, and overload the server once a round."""
    tasks = plan.tasks()
    texts = [one.text for task in tasks for one in task.test]
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        say(f"learning {len(tasks)} tasks")
        teach(Path(folder, "store"), plan.backbone, tasks)
        say("starting a server")
        with running_server(plan.arguments(Path(folder, "store")), Path(folder, "log")) as server:
            _capacity(plan, server, texts)  # warms connections and pages
            turns = []
            for number in range(plan.rounds):
                turns.append(_turn(plan, server, texts, factor))
                one = turns[-1]
                say(
                    f"round {number + 1} of {plan.rounds}: {one.capacity:.0f} texts/s; p99 "
                    f"{one.usual.p99:.0f} ms, {one.overload.p99:.0f} ms under overload"
                )
            return Overload(factor, turns)


def _turn(plan: Plan, server: RunningServer, texts: Sequence[str], factor: float) -> Turn:
    capacity = _capacity(plan, server, texts)
    usual = _phase(plan, server, texts, USUAL * capacity)
    overload = _phase(plan, server, texts, factor * capacity)
    return Turn(capacity, usual, overload, _recovery(server, texts, usual.p99 / 1000))


def _capacity(plan: Plan, server: RunningServer, texts: Sequence[str]) -> float:
    loop = closed_loop(server.url, texts, clients=plan.clients, inputs=1, seconds=plan.seconds / 2)
    return asyncio.run(loop).inputs_per_second


def _phase(plan: Plan, server: RunningServer, texts: Sequence[str], rate: float) -> Phase:
    outcome: Outcome = asyncio.run(
        open_loop(server.url, texts, rate=rate, seconds=plan.seconds, seed=0)
    )
    return Phase(
        asked=rate,
        answered=outcome.inputs_per_second,
        refused=outcome.refused,
        failed=sum(outcome.failed.values()),
        p50=outcome.milliseconds(50),
        p99=outcome.milliseconds(99),
    )


def _recovery(server: RunningServer, texts: Sequence[str], quick: float) -> float:
    """quick: seconds. At most `_LONGEST_RECOVERY`."""
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < _LONGEST_RECOVERY:
        one = asyncio.run(closed_loop(server.url, texts, clients=1, inputs=1, seconds=0.01))
        if not one.unanswered and one.milliseconds(100) <= 1000 * quick:
            break
    return passed
