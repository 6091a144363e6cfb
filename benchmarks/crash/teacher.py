"""A client that teaches, and repeats each batch until it hears that it is accepted."""

from __future__ import annotations

import asyncio
import secrets
from random import Random

from benchmarks.lessons import lessons
from benchmarks.verdict import Sent
from perennial.client import (
    AsyncClient,
    Batch,
    NotFound,
    Overloaded,
    ServerError,
    UnexpectedAnswer,
    Unreachable,
)
from perennial.client.calls import LabelledInput
from perennial.client.retries import Retries

ROWS = 4
REPEATED_SHARE = 0.2
"""Of the batches, that are sent once more after they were acknowledged, under the same key."""
PAUSE_SECONDS = 1.0
PASSING = (Unreachable, Overloaded, ServerError, UnexpectedAnswer, NotFound)
"""What passes by: Serve's proxy answers 404 after its controller was killed, knowing no routes."""


class Teacher:
    """Posts batches of the README's tasks, each text made new by its number."""

    def __init__(self, url: str, random: Random) -> None:
        self._url = url
        self._random = random
        self._stopped = False
        self._key = secrets.token_hex(8)
        self.acknowledged: dict[str, Sent] = {}
        self.refused = 0
        self.repeated = 0

    async def run(self) -> None:
        """Until `stop`; the batch under way is still acknowledged."""
        async with AsyncClient(self._url, retries=Retries(attempts=1)) as client:
            number = 0
            while not self._stopped:
                await self._teach(client, number)
                number += 1
                await asyncio.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """After the batch under way."""
        self._stopped = True

    async def _teach(self, client: AsyncClient, number: int) -> None:
        lesson = self._random.choice(lessons())
        rows: list[LabelledInput] = [
            {"input": f"{text} ({number})", "label": label}
            for text, label in self._random.sample(lesson.train, ROWS)
        ]
        key = f"{self._key}-{number}"
        batch = await self._until_acknowledged(client, lesson.name, rows, key)
        self.acknowledged[batch.batch] = Sent(lesson.name, ROWS)
        if self._random.random() < REPEATED_SHARE:
            self.repeated += 1
            again = await self._until_acknowledged(client, lesson.name, rows, key)
            assert again.batch == batch.batch, "one key, one batch"

    async def _until_acknowledged(
        self, client: AsyncClient, task: str, rows: list[LabelledInput], key: str
    ) -> Batch:
        while True:
            try:
                return await client.learn(task, rows, key)
            except PASSING:
                self.refused += 1
                await asyncio.sleep(self._random.uniform(0, PAUSE_SECONDS))
