"""Servers with a taught store are started in turn, again and again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import httpx
import psutil

from backbones import load_to_serve
from benchmarks.lessons import lessons, texts
from benchmarks.running_server import CLASSIFIER, SERVE, running_server
from benchmarks.taught import teach
from benchmarks.turns import in_turn

Say = Callable[[str], None]

EMPTY: Final = "empty Ray Serve application"
ANSWER_SECONDS: Final = 60


@dataclass(frozen=True)
class Plan:
    """What is started. runtimes: with the local engine each, with Ray the first"""

    engines: tuple[str, ...]
    runtimes: tuple[str, ...]
    backbone: str
    rounds: int


@dataclass(frozen=True)
class Kind:
    """A server to start. replica: what its answering process is called; None: it answers itself"""

    name: str
    arguments: tuple[str, ...]
    program: tuple[str, ...] = SERVE
    replica: str | None = None


@dataclass(frozen=True)
class Start:
    """Seconds since the process began; megabytes resident in the process that answers.

    cpu: seconds of that process until then, and with Ray of the one that started the cluster
    """

    ready: float
    answered: float
    cpu: float
    megabytes: float


@dataclass(frozen=True)
class ColdStartResult:
    """starts: of each kind of server, in the order of the rounds."""

    starts: dict[str, list[Start]]

    def median(self, name: str, member: Callable[[Start], float]) -> float:
        """Over the rounds."""
        return median(member(start) for start in self.starts[name])

    def beyond_ray(self, name: str, member: Callable[[Start], float]) -> float | None:
        """The median difference to the empty application in the same round; None without Ray."""
        if EMPTY not in self.starts:
            return None
        pairs = zip(self.starts[name], self.starts[EMPTY], strict=True)
        return median(member(own) - member(empty) for own, empty in pairs)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def run_cold_start(plan: Plan, say: Say) -> ColdStartResult:
    """Teach a store, then start every kind of server on it in turn."""
    if "onnx" in plan.runtimes:
        say("exporting the backbone, where that was not done before")
        load_to_serve(plan.backbone, runtime="onnx", threads=1)
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        teach(Path(folder, "store"), plan.backbone, [lesson.as_task() for lesson in lessons()])
        kinds = kinds_of(plan, Path(folder, "store"))
        starts: dict[str, list[Start]] = {kind.name: [] for kind in kinds}
        for number in range(plan.rounds):
            for kind in in_turn(kinds, number):
                start = _started(kind, Path(folder, "log"))
                starts[kind.name].append(start)
                say(f"round {number + 1} of {plan.rounds}, {kind.name}: ready {start.ready:.2f} s")
    return ColdStartResult(starts)


def kinds_of(plan: Plan, store: Path) -> Sequence[Kind]:
    """Every server of the plan; beside Ray's, one that does nothing."""

    def arguments(engine: str, runtime: str) -> tuple[str, ...]:
        given = ("--engine", engine, "--runtime", runtime, "--store", str(store))
        return (*given, "--backbone", plan.backbone, "--threads", "1", "--learner-method", "frozen")

    kinds = []
    if "local" in plan.engines:
        kinds += [Kind(f"local, {one}", arguments("local", one)) for one in plan.runtimes]
    if "ray" in plan.engines:
        runtime = plan.runtimes[0]
        kinds.append(Kind(f"ray, {runtime}", arguments("ray", runtime), replica=CLASSIFIER))
        program = ("benchmarks.cold_start.empty_application",)
        kinds.append(Kind(EMPTY, (), program, "ServeReplica:empty:Empty"))
    return kinds


def _started(kind: Kind, log: Path) -> Start:
    with running_server(kind.arguments, log, kind.program) as server:
        response = httpx.post(
            f"{server.url}/v1/classify", json={"inputs": [texts()[0]]}, timeout=ANSWER_SECONDS
        )
        answered = time.monotonic() - server.started
        response.raise_for_status()
        own = psutil.Process(server.process.pid)
        if kind.replica is None:
            return Start(server.ready_after, answered, _cpu_seconds(own), _megabytes(own))
        (pid,) = server.replica_pids(kind.replica)
        replica = psutil.Process(pid)
        cpu = _cpu_seconds(own) + _cpu_seconds(replica)
        return Start(server.ready_after, answered, cpu, _megabytes(replica))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6
