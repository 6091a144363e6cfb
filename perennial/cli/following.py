"""Waiting for several batches at once while the server's events tell how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from perennial.cli.progress import LearningProgress
from perennial.client import AsyncClient, Batch, PerennialError
from perennial.client.waiting import Until


async def follow(
    client: AsyncClient,
    batches: Sequence[Batch],
    until: Until,
    timeout: float,
    progress: LearningProgress,
) -> list[Batch]:
    """The batches as they ended. Closes the client. Raises BatchFailed, WaitTimedOut."""
    async with client:
        listening = asyncio.create_task(_listen(client, progress))
        try:
            return [await client.wait(one, until, timeout, progress.batch) for one in batches]
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _listen(client: AsyncClient, progress: LearningProgress) -> None:
    """Events only colour the progress bar: without them, waiting works all the same."""
    with suppress(PerennialError):
        async for event in client.events():
            progress.event(event)
