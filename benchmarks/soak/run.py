"""A server under single texts, requests of many, streams of lines and batches to learn."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.lessons import Lesson, lessons
from benchmarks.running_server import RunningServer, running_server
from benchmarks.soak.trend import Trend, trend
from benchmarks.throughput.clients import Outcome, closed_loop, open_loop
from perennial.client import AsyncClient

Say = Callable[[str], None]

BULK: Final = 64
"""Texts of a bulk request, of which there is one after the other for a tenth of the time."""
LINES: Final = 100
"""Texts of a stream, of which there is one a window."""
WARMING: Final = 0.25
"""Of the windows: what comes first fills caches, and counts towards no trend."""
_SUPERVISED: Final = ("server", "learner")


@dataclass(frozen=True)
class Plan:
    """rate: single texts a second;  window: seconds between two looks at the processes."""

    backbone: str
    method: str
    seconds: float
    window: float
    rate: float


@dataclass(frozen=True)
class Look:
    """What was seen at the end of a window.

    at: seconds since the first began;  megabytes, files, threads: by process
    p50, p99: milliseconds of its single texts;  lost: requests refused or failed
    version: live;  asked: inputs that were answered
    """

    at: float
    megabytes: dict[str, float]
    files: dict[str, int]
    threads: dict[str, int]
    p50: float
    p99: float
    lost: int
    version: int
    asked: int


@dataclass(frozen=True)
class Soak:
    """Everything that was seen, the first windows too."""

    plan: Plan
    looks: list[Look]

    @property
    def settled(self) -> list[Look]:
        """After the warming."""
        return self.looks[round(WARMING * len(self.looks)) :]

    def trend(self, of: Callable[[Look], float]) -> Trend:
        """Of the settled looks, an hour."""
        return trend([(one.at / 3600, of(one)) for one in self.settled])

    def trends(self) -> dict[str, Trend]:
        """By what they are of, with its unit."""
        found = {"p50, ms": self.trend(lambda one: one.p50)}
        for name in _SUPERVISED:
            found[f"{name}, MB"] = self.trend(lambda one, name=name: one.megabytes[name])  # type: ignore[misc]
            found[f"{name}, open files"] = self.trend(lambda one, name=name: one.files[name])  # type: ignore[misc]
            found[f"{name}, threads"] = self.trend(lambda one, name=name: one.threads[name])  # type: ignore[misc]
        return found

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        trends = {name: asdict(one) for name, one in self.trends().items()}
        return asdict(self) | {"trends": trends}


def run_soak(plan: Plan, say: Say) -> Soak:
    """Teach a server three tasks, then load it and teach them on for so many seconds."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        say("starting a server")
        arguments = ["--store", f"{folder}/store", "--backbone", plan.backbone, "--threads", "1"]
        arguments += ["--learner-method", plan.method]
        with running_server(arguments, Path(folder, "log")) as server:
            return Soak(plan, asyncio.run(_looks(plan, server, say)))


async def _looks(plan: Plan, server: RunningServer, say: Say) -> list[Look]:
    tasks = lessons()
    texts = [text for lesson in tasks for text, _ in lesson.train]
    looks: list[Look] = []
    async with AsyncClient(server.url) as client:
        for lesson in tasks:
            await client.wait(await client.learn(lesson.name, lesson.train), until="refreshed")
        started = time.perf_counter()
        while (at := time.perf_counter() - started) < plan.seconds:
            say(f"{at:.0f} of {plan.seconds:.0f} s")
            lesson = tasks[len(looks) % len(tasks)]
            outcomes = await _window(plan, server, client, texts, lesson, seed=len(looks))
            version = (await client.versions(limit=1)).live or 0
            looks.append(_look(server, time.perf_counter() - started, outcomes, version))
    return looks


async def _window(
    plan: Plan,
    server: RunningServer,
    client: AsyncClient,
    texts: Sequence[str],
    lesson: Lesson,
    *,
    seed: int,
) -> list[Outcome]:
    """Everything at once. Raises PerennialError where a stream or a batch fails."""
    single = open_loop(server.url, texts, rate=plan.rate, seconds=plan.window, seed=seed)
    bulk = closed_loop(server.url, texts, clients=1, inputs=BULK, seconds=plan.window / 10)
    *outcomes, _, _ = await asyncio.gather(
        single, bulk, _stream(client, texts), _teach(client, lesson)
    )
    return outcomes


async def _stream(client: AsyncClient, texts: Sequence[str]) -> None:
    lines = [texts[number % len(texts)] for number in range(LINES)]
    answered = [one async for one in client.classify_stream(lines)]
    assert len(answered) == LINES


async def _teach(client: AsyncClient, lesson: Lesson) -> None:
    """The same examples again: classes and kept examples do not grow, versions do."""
    await client.wait(await client.learn(lesson.name, lesson.train), until="refreshed")


def _look(server: RunningServer, at: float, outcomes: Sequence[Outcome], version: int) -> Look:
    processes = dict(zip(_SUPERVISED, _own_and_learner(server), strict=True))
    single = outcomes[0]
    return Look(
        at=at,
        megabytes={name: one.memory_info().rss / 1e6 for name, one in processes.items()},
        files={name: one.num_fds() for name, one in processes.items()},
        threads={name: one.num_threads() for name, one in processes.items()},
        p50=single.milliseconds(50),
        p99=single.milliseconds(99),
        lost=sum(one.unanswered for one in outcomes),
        version=version,
        asked=sum(one.inputs for one in outcomes) + LINES,
    )


def _own_and_learner(server: RunningServer) -> tuple[psutil.Process, psutil.Process]:
    own, *children = server.processes()
    return own, next(one for one in children if "spawn_main" in " ".join(one.cmdline()))
