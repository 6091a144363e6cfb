"""Both engines of ours with the same knowledge, loaded in turn by the same clients."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from math import nan
from pathlib import Path
from typing import Any, Final

from benchmarks.running_server import (
    POLL_SECONDS,
    START_SECONDS,
    NotStarted,
    RunningServer,
    running_server,
)
from benchmarks.taught import teach
from benchmarks.throughput.comparison import Turn, load_once
from benchmarks.throughput.contestants import Contestant, alone
from benchmarks.throughput.form import CLASSIFY
from benchmarks.throughput.plan import Plan, Say
from benchmarks.turns import in_turn
from prompt_store import Store

LOCAL: Final = "local"
RAY: Final = "ray"


@dataclass(frozen=True)
class Visit:
    """One engine in one round, asked by many clients, then by a single one.

    rest: CPU milliseconds a second, of all its processes, while nobody asks
    """

    rest: float
    many: Turn
    single: Turn

    def cpu(self, turn: Turn) -> float:
        """Milliseconds a request, without what the engine takes at rest; NaN without answers."""
        return turn.cpu - self.rest / turn.requests if turn.requests else nan


@dataclass(frozen=True)
class EnginesResult:
    """clients: many are so many;  visits: of each engine, in the order of the rounds."""

    clients: int
    visits: dict[str, list[Visit]]

    def ratios(self, of: Callable[[Visit], Turn]) -> list[float]:
        """Requests a second on Ray to the local engine's, by round; NaN where that has none."""
        pairs = [(of(ray).requests, of(local).requests) for ray, local in self._rounds()]
        return [ray / local if local else nan for ray, local in pairs]

    def overheads(self) -> list[float]:
        """CPU milliseconds that a single client's request costs more on Ray, round by round."""
        return [ray.cpu(ray.single) - local.cpu(local.single) for ray, local in self._rounds()]

    def as_json(self) -> dict[str, Any]:
        """For `--json`; a turn's `cpu` there has the engine's rest in it."""
        return asdict(self) | {
            "ratios": {
                "many": self.ratios(lambda visit: visit.many),
                "single": self.ratios(lambda visit: visit.single),
            },
            "overheads": self.overheads(),
        }

    def _rounds(self) -> list[tuple[Visit, Visit]]:
        return list(zip(self.visits[RAY], self.visits[LOCAL], strict=True))


def run_engines(plan: Plan, say: Say) -> EnginesResult:
    """Learn, serve on both engines, and load one after the other. Raises NotStarted."""
    texts = [one.text for task in plan.tasks() for one in task.test]
    with both(plan, say) as started:
        for one in started:  # warms connections and pages
            load_once(one, texts, plan.clients, plan.seconds / 4)
        visits: dict[str, list[Visit]] = {one.name: [] for one in started}
        for number in range(plan.rounds):
            for one in in_turn(started, number):
                with alone(one, started):
                    visits[one.name].append(
                        Visit(
                            rest=_rest(one.server, plan.seconds),
                            many=load_once(one, texts, plan.clients, plan.seconds),
                            single=load_once(one, texts, 1, plan.seconds),
                        )
                    )
                done = visits[one.name][-1]
                say(
                    f"round {number + 1} of {plan.rounds}, {one.name}: {plan.clients} clients "
                    f"{done.many.requests:.0f}, one client {done.single.requests:.0f} requests/s"
                )
    return EnginesResult(plan.clients, visits)


@contextmanager
def both(plan: Plan, say: Say) -> Iterator[list[Contestant]]:
    """The local engine, then Ray Serve, on stores of the same content, their learners at rest.

    Raises NotStarted.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perennial-bench-")))
        tasks, taught = plan.tasks(), folder / "taught"
        say(f"learning {len(tasks)} tasks")
        teach(taught, plan.backbone, tasks)
        started = []
        for engine in (LOCAL, RAY):
            say(f"starting a server, engine {engine}")
            store = shutil.copytree(taught, folder / engine)
            arguments, log = replace(plan, engine=engine).arguments(store), folder / f"{engine}.log"
            server = stack.enter_context(running_server(arguments, log))
            _until_its_learner_stands(Store.open(store), Store.open(taught).timeline().head)
            started.append(Contestant(engine, server, CLASSIFY))
        yield started


def _until_its_learner_stands(store: Store, taught: int) -> None:
    """Returns once a learner has written its fence, after the versions that the store was given.

    It imports torch for seconds before. Raises NotStarted.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if store.timeline().head > taught:
            return
        time.sleep(10 * POLL_SECONDS)
    raise NotStarted("the learner did not come to rest")


def _rest(server: RunningServer, seconds: float) -> float:
    """CPU milliseconds a second of a server that nobody asks."""
    before, started = server.cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    return 1000 * (server.cpu_seconds() - before) / (time.perf_counter() - started)
