"""Steady load: clients that each send a request at fixed times, whatever the answers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import numpy as np

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """One request: Unix seconds at its start and end, the version and replica that answered.

    `version` is None for a failure, which `failure` names.
    """

    started: float
    ended: float
    version: int | None = None
    replica: str | None = None
    failure: str | None = None

    @property
    def seconds(self) -> float:
        """From the start to the whole answer."""
        return self.ended - self.started


class SteadyLoad:
    """`clients` clients, together `rate` requests a second. Start it, let it run, stop it."""

    def __init__(self, url: str, texts: Sequence[str], *, clients: int, rate: float) -> None:
        self._url = url
        self._texts = texts
        self._clients = clients
        self._interval = clients / rate
        self._running = True
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: list[Answer] = []

    def start(self) -> None:
        """Begin on the running event loop, the clients evenly out of step."""
        for client in range(self._clients):
            self._tasks.append(asyncio.create_task(self._client(client)))

    async def stop(self) -> None:
        """End after the requests under way."""
        self._running = False
        await asyncio.gather(*self._tasks)

    async def _client(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=TIMEOUT_SECONDS) as http:
            due = time.monotonic() + self._interval * number / self._clients
            sent = number
            while self._running:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                self.answers.append(await self._ask(http, self._texts[sent % len(self._texts)]))
                sent += self._clients
                due = max(due + self._interval, time.monotonic())

    async def _ask(self, http: httpx.AsyncClient, text: str) -> Answer:
        started = time.time()
        try:
            response = await http.post("/v1/classify", json={"inputs": [text], "top_k": 1})
        except httpx.TransportError as error:
            return Answer(started, time.time(), failure=type(error).__name__)
        if response.status_code != 200:
            return Answer(started, time.time(), failure=f"{response.status_code} {response.text}")
        replica = response.headers.get("X-Perennial-Replica")
        return Answer(started, time.time(), response.json()["version"], replica)


def percentile(answers: Sequence[Answer], percent: float) -> float:
    """Seconds within which so many per cent were answered."""
    return float(np.percentile([a.seconds for a in answers], percent)) if answers else float("nan")
