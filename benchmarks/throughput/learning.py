"""Requests at a steady rate, in turn while nothing is learnt and while a task is."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

from benchmarks.running_server import RunningServer, running_server
from benchmarks.streams import StreamTask
from benchmarks.throughput.clients import Outcome, closed_loop, open_loop
from benchmarks.throughput.plan import Plan, Say
from perennial.client import Batch, Client

SHARE: Final = 0.25
"""Of what the server can do: the rate at which requests arrive."""


@dataclass(frozen=True)
class Phase:
    """p50, p99: milliseconds;  lost: requests that failed or were refused;  busy: share of a core
    that the learner used"""

    p50: float
    p99: float
    lost: int
    busy: float


@dataclass(frozen=True)
class Turn:
    """The same requests twice. version: live at the end, which says that something was learnt"""

    quiet: Phase
    learning: Phase
    version: int

    @property
    def ratio(self) -> float:
        """p99 while learning to p99 without."""
        return self.learning.p99 / self.quiet.p99


@dataclass(frozen=True)
class Interference:
    """cores: the server and its learner had;  rate: requests a second"""

    cores: int
    rate: float
    turns: list[Turn]

    @property
    def ratio(self) -> float:
        """The median over turns."""
        return median(turn.ratio for turn in self.turns)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"ratio": self.ratio}


def run_interference(plan: Plan, say: Say) -> Interference:
    """Teach a server all tasks but one a round; then teach those under load.

    Raises BadParameter where there are not enough tasks.
    """
    tasks = plan.tasks()
    if len(tasks) <= plan.rounds:
        wrong = f"{plan.rounds} rounds need more than {len(tasks)} tasks"
        raise click.BadParameter(wrong, param_hint="--rounds")
    before, after = tasks[: -plan.rounds], tasks[-plan.rounds :]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perennial-bench-")))
        say("starting a server")
        with _on_cores(plan.cores) as cores:
            arguments = replace(plan, method="auto").arguments(folder / "store")
            server = stack.enter_context(running_server(arguments, folder / "log"))
        client = stack.enter_context(Client(server.url))
        for task in before:
            say(f"learning {task.name}")
            client.wait(_teach(client, task))
        rate = SHARE * _capacity(plan, server, before)
        turns = []
        for task in after:
            turns.append(_turn(plan, server, client, task, before, rate))
            say(
                f"{task.name}: p99 {turns[-1].quiet.p99:.0f} ms, "
                f"{turns[-1].learning.p99:.0f} ms while it was learnt"
            )
        return Interference(cores, rate, turns)


@contextmanager
def _on_cores(count: int | None) -> Iterator[int]:
    """What is started meanwhile keeps to so many of this process's cores, None for all."""
    allowed = os.sched_getaffinity(0)
    chosen = sorted(allowed)[:count]
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, allowed)


def _teach(client: Client, task: StreamTask) -> Batch:
    return client.learn(task.name, [(one.text, one.label) for one in task.train])


def _capacity(plan: Plan, server: RunningServer, tasks: Sequence[StreamTask]) -> float:
    texts = _texts(tasks)
    loop = closed_loop(server.url, texts, clients=plan.clients, inputs=1, seconds=plan.seconds / 4)
    return asyncio.run(loop).inputs_per_second


def _turn(
    plan: Plan,
    server: RunningServer,
    client: Client,
    task: StreamTask,
    known: Sequence[StreamTask],
    rate: float,
) -> Turn:
    quiet = _phase(plan, server, known, rate)
    batch = _teach(client, task)
    learning = _phase(plan, server, known, rate)
    client.wait(batch)
    return Turn(quiet, learning, client.versions().live or 0)


def _phase(plan: Plan, server: RunningServer, tasks: Sequence[StreamTask], rate: float) -> Phase:
    used = _learner_seconds(server)
    outcome: Outcome = asyncio.run(
        open_loop(server.url, _texts(tasks), rate=rate, seconds=plan.seconds, seed=0)
    )
    return Phase(
        p50=outcome.milliseconds(50),
        p99=outcome.milliseconds(99),
        lost=outcome.unanswered,
        busy=(_learner_seconds(server) - used) / outcome.seconds,
    )


def _learner_seconds(server: RunningServer) -> float:
    """CPU time of all but the process that answers."""
    times = [process.cpu_times() for process in server.processes()[1:]]
    return float(sum(one.user + one.system for one in times))


def _texts(tasks: Sequence[StreamTask]) -> list[str]:
    return [one.text for task in tasks for one in task.test]
