"""Clients that load a server: as fast as they are answered, or at times that no answer changes.

aiohttp, because the generator shares the machine with the server and needs a third of httpx's CPU
time a request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import numpy as np
from hdrh.histogram import HdrHistogram

from benchmarks.throughput.form import CLASSIFY, Form

OVERLOADED: Final = 429
_LONGEST_MICROSECONDS: Final = 60_000_000
_DIGITS: Final = 3
_HEADERS: Final = {"Content-Type": "application/json"}
_TIMEOUT: Final = aiohttp.ClientTimeout(total=_LONGEST_MICROSECONDS / 1e6)


@dataclass(eq=False)
class Outcome:
    """What became of the requests of one phase.

    inputs: that were answered;  seconds: the phase took
    refused: requests answered 429 with Retry-After;  failed: by what they failed with
    """

    inputs: int = 0
    seconds: float = 0.0
    refused: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    _latency: HdrHistogram = field(
        default_factory=lambda: HdrHistogram(1, _LONGEST_MICROSECONDS, _DIGITS)
    )

    @property
    def inputs_per_second(self) -> float:
        """Answered inputs by the time the phase took."""
        return self.inputs / self.seconds

    @property
    def unanswered(self) -> int:
        """Requests that failed or were refused."""
        return self.refused + sum(self.failed.values())

    def milliseconds(self, percent: float) -> float:
        """Within which so many per cent of the answered requests were answered."""
        return float(self._latency.get_value_at_percentile(percent)) / 1000

    def answered(self, inputs: int, seconds: float) -> None:
        """Count one answered request."""
        self.inputs += inputs
        self._latency.record_value(min(max(1, round(seconds * 1e6)), _LONGEST_MICROSECONDS))

    def lost(self, why: str) -> None:
        """Count one that failed."""
        self.failed[why] = self.failed.get(why, 0) + 1


async def closed_loop(
    url: str,
    texts: Sequence[str],
    *,
    clients: int,
    inputs: int,
    seconds: float,
    form: Form = CLASSIFY,
) -> Outcome:
    """`clients` clients, each of which asks again as soon as it is answered.

    inputs: texts of a request;  seconds: after which nobody asks again
    """
    outcome, bodies = Outcome(), _bodies(texts, inputs, form)
    async with _session(clients) as http:
        started = time.perf_counter()

        async def client(number: int) -> None:
            turn = number
            while time.perf_counter() - started < seconds:
                due = time.perf_counter()
                await _ask(http, url + form.path, bodies[turn % len(bodies)], inputs, due, outcome)
                turn += clients

        await asyncio.gather(*(client(number) for number in range(clients)))
        outcome.seconds = time.perf_counter() - started
    return outcome


async def open_loop(
    url: str, texts: Sequence[str], *, rate: float, seconds: float, seed: int
) -> Outcome:
    """Requests of one text that arrive by chance, `rate` a second in the mean (Poisson).

    A request's latency counts from the moment it was due, so a server that stalls cannot hide it.
    """
    outcome, bodies = Outcome(), _bodies(texts, 1, CLASSIFY)
    draw = np.random.default_rng(seed)
    address = url + CLASSIFY.path
    due = np.cumsum(draw.exponential(1 / rate, size=max(1, round(rate * seconds))))
    async with _session(0) as http:
        started = time.perf_counter()
        asked = []
        for number, moment in enumerate(due.tolist()):
            await asyncio.sleep(max(0.0, started + moment - time.perf_counter()))
            body, since = bodies[number % len(bodies)], started + moment
            asked.append(asyncio.create_task(_ask(http, address, body, 1, since, outcome)))
        await asyncio.gather(*asked)
        outcome.seconds = time.perf_counter() - started
    return outcome


async def answers(url: str, texts: Sequence[str], *, clients: int, form: Form) -> list[str]:
    """The label of every text, each a request; "" where it failed. clients: requests at once"""
    async with _session(clients) as http:

        async def ask(text: str) -> str:
            body = form.body([text])
            try:
                async with http.post(url + form.path, data=body, raise_for_status=True) as response:
                    return form.labels(await response.read())[0]
            except (aiohttp.ClientError, TimeoutError):
                return ""

        return await asyncio.gather(*map(ask, texts))


def _session(connections: int) -> aiohttp.ClientSession:
    """connections: at once, at most; 0 for any number."""
    connector = aiohttp.TCPConnector(limit=connections)
    return aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, headers=_HEADERS)


def _bodies(texts: Sequence[str], inputs: int, form: Form) -> list[bytes]:
    """Requests of `inputs` texts each that together hold every text."""
    starts = range(0, len(texts), inputs)
    rows = [[texts[(i + k) % len(texts)] for k in range(inputs)] for i in starts]
    return [form.body(row) for row in rows]


async def _ask(
    http: aiohttp.ClientSession,
    address: str,
    body: bytes,
    inputs: int,
    due: float,
    outcome: Outcome,
) -> None:
    try:
        async with http.post(address, data=body) as response:
            await response.read()
            status, told = response.status, "Retry-After" in response.headers
    except (aiohttp.ClientError, TimeoutError) as error:
        outcome.lost(type(error).__name__)
        return
    if status == 200:
        outcome.answered(inputs, time.perf_counter() - due)
    elif status == OVERLOADED and told:
        outcome.refused += 1
    else:
        outcome.lost(str(status))
