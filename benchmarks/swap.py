"""`perennial bench swap`: versions are published under load; nobody may notice.

Three replicas on Ray Serve answer 8 clients. After a quiet phase 20 versions are published, each a
rollback to the content of one of two earlier ones; then one replica is killed with -9 and a version
is published while it is away.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from benchmarks.lessons import lessons, texts
from benchmarks.load import Answer, SteadyLoad, percentile
from benchmarks.running_server import RunningServer, running_server
from benchmarks.taught import teach
from prompt_store import Kind, Store

RECOVERY_SECONDS = 120
SETTLE_SECONDS = 3.0
PROMOTE_SECONDS = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Publication:
    """A version and the Unix seconds of its commit, as the log has it."""

    version: int
    committed: float


@dataclass(frozen=True)
class SwapResult:
    """What happened. Times in seconds."""

    replicas: int
    clients: int
    rate: float
    publications: int
    rollbacks: int
    requests: int
    failed: int
    failures: list[str]
    p50_before: float
    p99_before: float
    p50_during: float
    p99_during: float
    p99_ratio: float
    unpublished_answers: int
    late_answers: int
    slowest_replica_current_after: float
    replicas_seen: int
    killed: int
    recovered_after: float | None
    failed_after_kill: int
    first_version_of_new_replica: int | None
    newest_at_its_start: int | None
    older_answers_of_new_replica: int

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Trace:
    """Every answer before and while versions were published, and the versions."""

    answers: Sequence[Answer]
    publications: Sequence[Publication]


def run_swap(
    *,
    replicas: int,
    clients: int,
    rate: float,
    publications: int,
    pause: float,
    say: Say,
) -> tuple[SwapResult, Trace]:
    """Run the whole scenario on a fresh store and server."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        store_path, log_path = Path(folder, "store"), Path(folder, "server.log")
        say("learning two versions to swap between")
        versions = prepare(store_path)
        arguments = ["--engine", "ray", "--replicas", str(replicas), "--threads", "1"]
        say(f"starting Ray Serve with {replicas} replicas")
        with running_server([*arguments, "--store", str(store_path)], log_path) as server:
            scenario = _Scenario(server, store_path, versions, say)
            return asyncio.run(scenario.run(replicas, clients, rate, publications, pause))


def prepare(store_path: Path) -> tuple[int, int]:
    """A store with two live-able versions that differ in what they know."""
    first, second = teach(store_path, "minilm", (one.as_task() for one in lessons()[:2]))
    return first, second


class _Scenario:
    def __init__(
        self, server: RunningServer, store_path: Path, versions: tuple[int, int], say: Say
    ) -> None:
        self._server = server
        self._store = Store.open(store_path)
        self._versions = versions
        self._say = say
        self._rollbacks = 0
        # Made once: making a client takes tens of milliseconds of the loop that measures.
        self._http = httpx.AsyncClient(base_url=server.url, timeout=PROMOTE_SECONDS)

    async def run(
        self, replicas: int, clients: int, rate: float, publications: int, pause: float
    ) -> tuple[SwapResult, Trace]:
        load_ = SteadyLoad(self._server.url, texts(), clients=clients, rate=rate)
        load_.start()
        self._say("warming up")
        await asyncio.sleep(SETTLE_SECONDS)
        began = time.time()
        self._say("quiet phase")
        await asyncio.sleep(publications * pause)
        swapping = time.time()
        for i in range(publications):
            self._rollbacks += await self._promote(self._versions[i % 2]) == Kind.ROLLBACK
            self._say(f"published {i + 1} of {publications}")
            await asyncio.sleep(pause)
        swapped = time.time()
        await asyncio.sleep(SETTLE_SECONDS)  # so that no request is in flight in both phases
        killed = await self._kill_and_recover(load_, replicas)
        await load_.stop()
        await self._http.aclose()
        before = [a for a in load_.answers if began <= a.started < swapping]
        during = [a for a in load_.answers if swapping <= a.started < swapped]
        result = self._judge(replicas, clients, rate, publications, before, during, killed)
        return result, Trace([*before, *during], published(self._store))

    @retry(
        retry=retry_if_exception_type(httpx.TransportError),
        stop=stop_after_attempt(20),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    async def _promote(self, version: int) -> str:
        """The kind of what was published. Asked again where it went to the killed replica."""
        response = await self._http.post(f"/v1/versions/{version}/promote")
        response.raise_for_status()
        return str(response.json()["kind"])

    async def _kill_and_recover(self, load_: SteadyLoad, replicas: int) -> _Killed:
        pids = self._server.replica_pids()
        self._say(f"killing one of {len(pids)} replicas with -9")
        known = {a.replica for a in load_.answers}
        os.kill(pids[0], signal.SIGKILL)
        at = time.time()
        await self._promote(self._versions[0])
        deadline = time.time() + RECOVERY_SECONDS
        while time.time() < deadline:
            await asyncio.sleep(0.2)
            if {a.replica for a in load_.answers if a.started > at} - known - {None}:
                break
        await asyncio.sleep(SETTLE_SECONDS)
        after = [a for a in load_.answers if a.ended > at]
        fresh = [a for a in after if a.replica is not None and a.replica not in known]
        return _Killed(at, sorted(fresh, key=lambda a: a.started), after)

    def _judge(
        self,
        replicas: int,
        clients: int,
        rate: float,
        publications: int,
        before: Sequence[Answer],
        during: Sequence[Answer],
        killed: _Killed,
    ) -> SwapResult:
        log = published(self._store)
        both = [*before, *during]
        failures = [a.failure for a in both if a.failure is not None]
        lateness = [late(a, log) for a in during if a.version is not None]
        fresh = killed.fresh
        newest = newest_at(log, fresh[0].started) if fresh else None
        return SwapResult(
            replicas=replicas,
            clients=clients,
            rate=rate,
            publications=publications,
            rollbacks=self._rollbacks,
            requests=len(both),
            failed=len(failures),
            failures=sorted(set(failures)),
            p50_before=percentile(before, 50),
            p99_before=percentile(before, 99),
            p50_during=percentile(during, 50),
            p99_during=percentile(during, 99),
            p99_ratio=percentile(during, 99) / percentile(before, 99),
            unpublished_answers=sum(not existed(a, log) for a in both if a.version is not None),
            late_answers=sum(seconds > 0 for seconds in lateness),
            slowest_replica_current_after=max(lateness, default=0.0),
            replicas_seen=len({a.replica for a in both} - {None}),
            killed=1,
            recovered_after=fresh[0].ended - killed.at if fresh else None,
            failed_after_kill=sum(a.failure is not None for a in killed.after),
            first_version_of_new_replica=fresh[0].version if fresh else None,
            newest_at_its_start=newest,
            older_answers_of_new_replica=sum((a.version or 0) < (newest or 0) for a in fresh),
        )


@dataclass(frozen=True)
class _Killed:
    """When a replica was killed, what its successor answered, and all answers since."""

    at: float
    fresh: Sequence[Answer]
    after: Sequence[Answer]


def published(store: Store) -> list[Publication]:
    """Every version that went live, oldest first."""
    manifests = [store.manifest(n) for n in range(1, store.timeline().head + 1)]
    return [Publication(m.version, m.created_at.timestamp()) for m in manifests if m.kind.goes_live]


def late(answer: Answer, log: Sequence[Publication]) -> float:
    """Seconds between the commit of the answer's successor and the answer's start; 0 if none."""
    successors = [p.committed for p in log if p.version > (answer.version or 0)]
    return max(0.0, answer.started - min(successors)) if successors else 0.0


def existed(answer: Answer, log: Sequence[Publication]) -> bool:
    """Whether the version it names had been committed before the answer ended."""
    return any(p.version == answer.version and p.committed <= answer.ended for p in log)


def newest_at(log: Sequence[Publication], moment: float) -> int:
    """The version that was live at a moment."""
    return max(p.version for p in log if p.committed <= moment)
