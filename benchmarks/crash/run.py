"""Kills at random moments, load all the while, and the account at the end."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx

from benchmarks.crash.supervised import ROLES, Supervised
from benchmarks.crash.teacher import Teacher
from benchmarks.lessons import texts
from benchmarks.load import Answer, SteadyLoad
from benchmarks.running_server import START_SECONDS, NotStarted
from benchmarks.swap import published
from benchmarks.verdict import Verdict, judge
from prompt_store import Store

LEARNING = ("--learner-auto-epochs", "1", "--learner-auto-minimum-steps", "2",
            "--learner-auto-maximum-steps", "4", "--learner-gate-mode", "open",
            "--learner-keep-per-class", "8")  # fmt: skip
"""Short trainings whose candidates all go live: what is learnt is not the question here."""
CLIENTS, RATE = 2, 4.0
BLIND_SHARE = 0.5
"""Of the kills, that wait for nothing. Before the others the log has moved on since the last one:
else a busy machine would have every learner killed while it starts."""
PROGRESS_SECONDS = 120
POLL_SECONDS = 0.05
SETTLE_SECONDS = 300
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """pause: mean seconds between two kills; flags: further ones of `perennial serve`"""

    engine: str
    backbone: str
    kills: int
    pause: float
    seed: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CrashResult:
    """kills: by role; refused: posts without an acknowledgement, each sent again; repeated: posts
    sent again though acknowledged; unpublished: answers that name a version that was not committed;
    stale: answers older than what was live when their server started; orphans: processes of killed
    servers that did not end by themselves.
    """

    plan: Plan
    kills: dict[str, int]
    starts: int
    seconds: float
    refused: int
    repeated: int
    answers: int
    unanswered: int
    unpublished: int
    stale: int
    orphans: int
    verdict: Verdict

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return self.verdict.holds and not (self.unpublished or self.stale or self.orphans)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "holds": self.holds}


def run_crash(plan: Plan, say: Say) -> CrashResult:
    """Run a fresh server on a fresh store through all kills, or until SIGINT. Raises NotStarted."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        return asyncio.run(_Scenario(plan, Path(folder), say).run())


@dataclass(frozen=True)
class _Start:
    """When a server was started (Unix seconds), and what was live then."""

    at: float
    live: int


class _Scenario:
    def __init__(self, plan: Plan, folder: Path, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._random = Random(plan.seed)
        self._store = Store.open(folder / "store")
        self._roles = ROLES[plan.engine]
        arguments = ["--engine", plan.engine, "--store", str(folder / "store"), *LEARNING]
        arguments += ["--backbone", plan.backbone, *plan.flags]
        self._log_path = folder / "server.log"
        self._starts = [_Start(time.time(), 0)]
        self._server = Supervised(arguments, self._roles, self._log_path)
        self._kills: Counter[str] = Counter()
        self._enough = asyncio.Event()

    async def run(self) -> CrashResult:
        began = time.monotonic()
        try:
            await self._until_ready()
            load = SteadyLoad(self._server.url, texts(), clients=CLIENTS, rate=RATE)
            teacher = Teacher(self._server.url, self._random)
            load.start()
            supervising = asyncio.create_task(self._supervise())
            teaching = asyncio.create_task(teacher.run())
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._enough.set)
            while self._kills.total() < self._plan.kills and not self._enough.is_set():
                if self._random.random() > BLIND_SHARE:
                    await self._until_something_is_committed()
                await asyncio.sleep(self._random.uniform(0, 2 * self._plan.pause))
                await self._kill_one(teacher)
                if teaching.done():
                    teaching.result()
            teacher.stop()
            await teaching
            self._say("waiting for what is not yet learnt")
            await self._until_settled()
            await load.stop()
            supervising.cancel()
        finally:
            orphans = await asyncio.to_thread(self._server.stop)
        self._say("checking the store")
        return self._result(load.answers, teacher, orphans, time.monotonic() - began)

    async def _supervise(self) -> None:
        """Start the server again whenever it has ended."""
        while True:
            live = self._store.timeline().live or 0
            at = time.time()
            if self._server.restart_if_ended():
                self._starts.append(_Start(at, live))
            await asyncio.sleep(POLL_SECONDS)

    async def _kill_one(self, teacher: Teacher) -> None:
        role, pid = await self._victim()
        if self._server.kill(pid):
            self._kills[role] += 1
            self._say(
                f"kill {self._kills.total()} of {self._plan.kills}: {role} {pid}, "
                f"{len(teacher.acknowledged)} batches acknowledged, "
                f"version {self._store.timeline().head}"
            )

    async def _victim(self) -> tuple[str, int]:
        """A process of a role, each role as likely where it has one now."""
        while True:
            there = {role: pids for role in self._roles if (pids := self._server.pids(role))}
            if there:
                role = self._random.choice(sorted(there))
                return role, self._random.choice(there[role])
            await asyncio.sleep(POLL_SECONDS)

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(base_url=self._server.url) as http:
            while time.monotonic() < deadline:
                try:
                    if (await http.get("/health/ready")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(POLL_SECONDS)
        raise NotStarted(f"the end of its log:\n{self._log_path.read_text()[-2000:]}")

    async def _until_something_is_committed(self) -> None:
        head, deadline = self._store.timeline().head, time.monotonic() + PROGRESS_SECONDS
        while self._store.timeline().head == head and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)

    async def _until_settled(self) -> None:
        """Until nothing is pending; what never settles is counted as lost."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._store.intake.pending() and time.monotonic() < deadline:
            await asyncio.sleep(10 * POLL_SECONDS)

    def _result(
        self, answers: Sequence[Answer], teacher: Teacher, orphans: int, seconds: float
    ) -> CrashResult:
        committed = {p.version: p.committed for p in published(self._store)}
        answered = [a for a in answers if a.version is not None]
        return CrashResult(
            plan=self._plan,
            kills=dict(self._kills),
            starts=self._server.starts,
            seconds=seconds,
            refused=teacher.refused,
            repeated=teacher.repeated,
            answers=len(answered),
            unanswered=len(answers) - len(answered),
            unpublished=sum(
                committed.get(a.version or 0, float("inf")) > a.ended for a in answered
            ),
            stale=sum((a.version or 0) < self._live_at_start(a.started) for a in answered),
            orphans=orphans,
            verdict=judge(self._store, teacher.acknowledged),
        )

    def _live_at_start(self, moment: float) -> int:
        return max(start.live for start in self._starts if start.at <= moment)
