"""How a server comes to its end, for those who wait for their clients meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

QUIET_SECONDS: Final = 0.5
"""How long a stream's client may send nothing once the server is to stop."""


class Ending:
    """began: the server was told to stop; hurried: what waits now waits in vain. On one loop."""

    def __init__(self) -> None:
        self.began = False
        self.hurried = False
        self._waiting: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Nobody may keep the server waiting any more."""
        self.began = True
        self._shorten(QUIET_SECONDS)

    def hurry(self) -> None:
        """Time is almost up."""
        self.hurried = True
        self._shorten(0.0)

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """To wait in for a client, so long at most, and not long where the server is to stop.

        Raises TimeoutError.
        """
        async with asyncio.timeout(min(seconds, QUIET_SECONDS) if self.began else seconds) as one:
            self._waiting.add(one)
            try:
                yield
            finally:
                self._waiting.discard(one)

    def _shorten(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        for one in self._waiting:
            if (due := one.when()) is None or due > end:
                one.reschedule(end)
