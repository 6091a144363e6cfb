"""A server with a learnt stream, loaded in turn with single texts and with whole requests."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from backbones import Backbone, load_to_serve
from benchmarks.running_server import RunningServer, running_server
from benchmarks.taught import teach
from benchmarks.throughput.bare import bare_loop, best_size
from benchmarks.throughput.clients import Outcome, closed_loop, open_loop
from benchmarks.throughput.neighbours import busy
from benchmarks.throughput.pace import Pace
from benchmarks.throughput.plan import Plan, Say
from benchmarks.turns import ratio
from serving.cores import available_cores

BULK: Final = 256
"""Texts of a bulk request."""
BULK_CLIENTS: Final = 4
SHARES: Final = (0.25, 0.5, 0.8, 2.0)
"""Of the measured capacity: the rates of the open loop. The last one is an overload."""


@dataclass(frozen=True)
class Round:
    """One after the other on the same cores.

    beside: the bare loop while all other cores are busy;  failed: requests of the served ones
    """

    bare: Pace
    beside: Pace
    single: Pace
    bulk: Pace
    failed: int


@dataclass(frozen=True)
class Rate:
    """An open loop. asked, answered: a second;  refused, failed: requests;  p…: milliseconds."""

    share: float
    asked: float
    answered: float
    refused: int
    failed: int
    p50: float
    p99: float
    p999: float


@dataclass(frozen=True)
class LoadResult:
    """size: texts a pass of the bare loop, at which it was fastest."""

    runtime: str
    size: int
    rounds: list[Round]
    rates: list[Rate]

    def ratio(self, served: Callable[[Round], Pace]) -> float:
        """The median over rounds of texts a second to the bare loop's."""
        texts = [served(one).texts for one in self.rounds]
        return ratio(texts, [one.bare.texts for one in self.rounds])

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_load(plan: Plan, say: Say) -> LoadResult:
    """Learn, serve, and load the server in turn with the bare engine."""
    backbone = load_to_serve(plan.backbone, runtime=plan.runtime, threads=plan.threads)
    tasks = plan.tasks()
    texts = [one.text for task in tasks for one in task.test]
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        say(f"learning {len(tasks)} tasks")
        teach(Path(folder, "store"), plan.backbone, tasks)
        say(f"starting a server, engine {plan.engine}")
        with running_server(plan.arguments(Path(folder, "store")), Path(folder, "log")) as server:
            return _loaded(plan, server, backbone, texts, say)


def _loaded(
    plan: Plan, server: RunningServer, backbone: Backbone, texts: Sequence[str], say: Say
) -> LoadResult:
    size = best_size(backbone, texts, plan.seconds / 4)
    _closed(server, texts, plan.clients, 1, plan.seconds / 4)  # warms connections and pages
    rounds = []
    for number in range(plan.rounds):
        rounds.append(_round(plan, server, backbone, texts, size))
        done = rounds[-1]
        say(
            f"round {number + 1} of {plan.rounds}: bare {done.bare.texts:.0f}, "
            f"single {done.single.texts:.0f}, bulk {done.bulk.texts:.0f} texts/s"
        )
    capacity = median(one.single.texts for one in rounds)
    rates = []
    for share in SHARES:
        say(f"requests arrive at {share:.0%} of {capacity:.0f} a second")
        outcome = asyncio.run(
            open_loop(server.url, texts, rate=share * capacity, seconds=plan.seconds, seed=0)
        )
        rates.append(_rate(share, share * capacity, outcome))
    return LoadResult(backbone.runtime, size, rounds, rates)


def _round(
    plan: Plan, server: RunningServer, backbone: Backbone, texts: Sequence[str], size: int
) -> Round:
    bare = bare_loop(backbone, texts, size, plan.seconds)
    with busy(available_cores() - plan.threads):
        beside = bare_loop(backbone, texts, size, plan.seconds)
    single, lost = _closed(server, texts, plan.clients, 1, plan.seconds)
    bulk, also_lost = _closed(server, texts, BULK_CLIENTS, BULK, plan.seconds)
    return Round(bare, beside, single, bulk, lost + also_lost)


def _closed(
    server: RunningServer, texts: Sequence[str], clients: int, inputs: int, seconds: float
) -> tuple[Pace, int]:
    """And how many requests failed or were refused."""
    before = server.cpu_seconds()
    outcome = asyncio.run(
        closed_loop(server.url, texts, clients=clients, inputs=inputs, seconds=seconds)
    )
    cpu = 1000 * (server.cpu_seconds() - before) / max(1, outcome.inputs)
    return Pace(outcome.inputs_per_second, cpu), outcome.unanswered


def _rate(share: float, asked: float, outcome: Outcome) -> Rate:
    p50, p99, p999 = (outcome.milliseconds(percent) for percent in (50, 99, 99.9))
    return Rate(
        share,
        asked,
        outcome.inputs_per_second,
        outcome.refused,
        sum(outcome.failed.values()),
        p50,
        p99,
        p999,
    )
