"""Servers that know one task, some and hundreds, asked in turn."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from backbones import Backbone, load_to_serve
from backbones.engines import Runtime
from benchmarks.running_server import RunningServer, running_server
from benchmarks.scale.contents import Layout, task_names, write_version
from benchmarks.scale.replica import BATCH, Replica, batch_of_texts
from benchmarks.scale.weight import Weight, weigh
from benchmarks.throughput.clients import closed_loop
from benchmarks.throughput.form import CLASSIFY, naming
from benchmarks.turns import by_turns, in_turn
from learner.matrix_threads import bound_blas
from prompt_store import Store

Say = Callable[[str], None]

PASSES = 2
"""Timed of each kind for every round of requests."""
LOADS = 2


@dataclass(frozen=True)
class Plan:
    """What is measured. tasks: of each version;  classes: of a task;  seconds: of each phase"""

    tasks: tuple[int, ...]
    classes: int
    layout: Layout
    backbone: str
    runtime: Runtime
    threads: int
    seconds: float
    rounds: int


@dataclass(frozen=True)
class Phase:
    """Requests of one kind.

    p50: milliseconds of one;  texts: answered a second;  failed: requests, refused ones too
    """

    p50: float
    texts: float
    failed: int


@dataclass(frozen=True)
class Rung:
    """A version of so many tasks.

    megabytes: resident in its server, when all was over
    phases: of each kind of requests, by round: `unnamed` and `named` one text after the other,
        `whole` 32 texts a request, `one` and `mixed` 32 requests at once, of one task or as many
    passes: CPU seconds, see `Replica.passes`;  loads: seconds to load the version
    """

    tasks: int
    classes: int
    weight: Weight
    megabytes: float
    phases: Mapping[str, list[Phase]]
    passes: Mapping[str, list[float]]
    loads: list[float]

    @property
    def failed(self) -> int:
        """Requests of all kinds."""
        return sum(one.failed for phases in self.phases.values() for one in phases)


@dataclass(frozen=True)
class ScaleResult:
    """rungs: in the order of the plan."""

    runtime: str
    layout: str
    rungs: list[Rung]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_scale(plan: Plan, say: Say) -> ScaleResult:
    """Write a version of every size, serve each, and ask all servers in turn."""
    bound_blas(1)  # as a server does
    backbone = load_to_serve(plan.backbone, runtime=plan.runtime, threads=plan.threads)
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder, ExitStack() as stack:
        served = []
        for tasks in plan.tasks:
            say(f"writing and serving a version of {tasks} tasks")
            served.append(stack.enter_context(_served(plan, tasks, Path(folder), backbone)))
        for one in served:
            one.server.until_learner_idles()
            one.ask(plan.seconds / 4, clients=BATCH)  # warms connections and pages
        for number in range(plan.rounds):
            _ask_all(served, plan.seconds, number)
            shown = ", ".join(f"{one.tasks}: {one.phases['unnamed'][-1].p50:.2f}" for one in served)
            say(f"round {number + 1} of {plan.rounds}, p50 in ms by tasks: {shown}")
        say("timing passes without HTTP")
        rungs = _rungs(served, plan)
    return ScaleResult(backbone.runtime, plan.layout, rungs)


@contextmanager
def _served(plan: Plan, tasks: int, folder: Path, backbone: Backbone) -> Iterator[_Served]:
    path = folder / f"{tasks}-tasks"
    store, names = Store.open(path), task_names(tasks)
    version = write_version(store, backbone.description, tasks, plan.classes, plan.layout)
    arguments = ["--engine", "local", "--store", str(path), "--learner-method", "frozen"]
    arguments += ["--backbone", plan.backbone, "--runtime", backbone.runtime]
    arguments += ["--threads", str(plan.threads)]
    with running_server(arguments, folder / f"{tasks}.log") as server:
        yield _Served(server, names, Replica(store, version, backbone, names))


class _Served:
    """A version that is served, and what its server answered so far."""

    def __init__(self, server: RunningServer, names: Sequence[str], replica: Replica) -> None:
        self.server, self.names, self.replica = server, names, replica
        self.tasks = len(names)
        self.phases: dict[str, list[Phase]] = {}

    def ask(
        self, seconds: float, *, clients: int = 1, inputs: int = 1, tasks: Sequence[str] = ()
    ) -> Phase:
        """The named tasks in turn; without any no request names one."""
        loop = closed_loop(
            self.server.url,
            list(islice(cycle(batch_of_texts()), max(BATCH, len(tasks)))),
            clients=clients,
            inputs=inputs,
            seconds=seconds,
            form=naming(tasks) if tasks else CLASSIFY,
        )
        outcome = asyncio.run(loop)
        return Phase(
            p50=outcome.milliseconds(50),
            texts=outcome.inputs_per_second,
            failed=outcome.unanswered,
        )


def _ask_all(served: Sequence[_Served], seconds: float, number: int) -> None:
    """One round: each kind of requests to all servers in turn, before the next kind."""
    asked: Mapping[str, Callable[[_Served], Phase]] = {
        "unnamed": lambda one: one.ask(seconds),
        "named": lambda one: one.ask(seconds, tasks=one.names),
        "whole": lambda one: one.ask(seconds, inputs=BATCH, tasks=one.names[:1]),
        "one": lambda one: one.ask(seconds, clients=BATCH, tasks=one.names[:1]),
        "mixed": lambda one: one.ask(seconds, clients=BATCH, tasks=one.names[:BATCH]),
    }
    for kind, ask in asked.items():
        for one in in_turn(served, number):
            one.phases.setdefault(kind, []).append(ask(one))


def _rungs(served: Sequence[_Served], plan: Plan) -> list[Rung]:
    passes = by_turns(
        {(one, kind): act for one in served for kind, act in one.replica.passes.items()},
        PASSES * plan.rounds,
        time.process_time,
    )
    loads = by_turns({one: one.replica.load for one in served}, LOADS)
    return [
        Rung(
            tasks=one.tasks,
            classes=one.tasks * plan.classes,
            weight=weigh(one.replica.snapshot),
            megabytes=one.server.megabytes,
            phases=one.phases,
            passes={kind: passes[one, kind] for kind in one.replica.passes},
            loads=loads[one],
        )
        for one in served
    ]
