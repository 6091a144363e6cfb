"""The spool: order, bounds, and readers who do not read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.spool import MEMORY, Spool

PIECE = MEMORY // 3


async def _read(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


def _deleted_files() -> int:
    """Temporary files that are open and have no name."""
    links = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return sum("perennial-" in one or one.endswith("(deleted)") for one in links)


async def test_a_reader_who_comes_late_gets_everything_in_order() -> None:
    pieces = [os.urandom(PIECE) for _ in range(20)]
    before = _deleted_files()
    with Spool(10 * MEMORY, 30) as spool:
        for piece in pieces:
            await spool.put(piece)
        assert _deleted_files() == before + 1
        ending = asyncio.create_task(spool.finish())
        assert await _read(spool.parts()) == b"".join(pieces)
        await ending
    assert _deleted_files() == before


async def test_a_reader_who_keeps_up_needs_no_file() -> None:
    before = _deleted_files()
    with Spool(MEMORY, 30) as spool:
        parts = spool.parts()
        for number in range(1000):
            await spool.put(b"%d" % number)
            assert await anext(parts) == b"%d" % number
        assert _deleted_files() == before


async def test_a_full_file_waits_for_its_reader_and_begins_anew() -> None:
    pieces = [os.urandom(MEMORY) for _ in range(10)]
    with Spool(2 * MEMORY, 30) as spool:

        async def put_all() -> None:
            for piece in pieces:
                await spool.put(piece)
            await spool.finish()

        putting = asyncio.create_task(put_all())
        assert await _read(spool.parts()) == b"".join(pieces)
        await putting


@pytest.mark.parametrize("most", [2 * MEMORY, 100 * MEMORY], ids=["full", "ended"])
async def test_a_reader_who_reads_nothing_is_given_up(most: int) -> None:
    async def put_all(spool: Spool) -> None:
        for _ in range(5):
            await spool.put(bytes(MEMORY))
        await spool.finish()

    with Spool(most, 0.01) as spool, pytest.raises(TimeoutError):
        await put_all(spool)
