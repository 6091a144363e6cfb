"""Bytes on their way to a reader who may be far behind: in memory, then in a temporary file."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from types import TracebackType
from typing import IO, Final, Self

MEMORY: Final = 2**20
"""Bytes that wait in memory; what is more goes to the file in pieces of this size."""
_PART: Final = 2**16  # bytes read at once: small, so that a slow reader is seen to read


class Spool:
    """One task puts, another one reads. Use it in `with`: at the end the file is gone.

    most: bytes of the file. Where it is full, `put` waits until all of it was read; the file then
    begins anew. patience: seconds to wait for a reader who reads nothing.
    """

    def __init__(self, most: int, patience: float) -> None:
        self._most = most
        self._patience = patience
        self._recent = bytearray()  # newer than all of the file
        self._file: IO[bytes] | None = None
        self._written = 0
        self._read = 0
        self._in_file = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._over = False

    async def put(self, data: bytes) -> None:
        """Raises TimeoutError (the reader reads nothing), OSError (the disk is full)."""
        self._recent += data
        if len(self._recent) >= MEMORY:
            while self._written and self._written + len(self._recent) > self._most:
                await self._until_taken()
            await self._write()
        self._arrived.set()

    async def finish(self) -> None:
        """Nothing more comes; returns when everything was read. Raises TimeoutError."""
        self._ended = True
        self._arrived.set()
        while not self._over:
            await self._until_taken()

    async def parts(self) -> AsyncIterator[bytes]:
        """Everything in order. A part counts as read when the next one is asked for."""
        while not self._ended or self._recent or self._written:
            if part := await self._next():
                yield part
                self._taken.set()
            elif not self._ended:
                self._arrived.clear()
                await self._arrived.wait()
        self._over = True
        self._taken.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    async def _until_taken(self) -> None:
        self._taken.clear()
        async with asyncio.timeout(self._patience):
            await self._taken.wait()

    async def _write(self) -> None:
        async with self._in_file:
            part, self._recent = self._recent, bytearray()
            await asyncio.to_thread(self._append, part)
            self._written += len(part)

    def _append(self, part: bytearray) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="perennial-")  # noqa: SIM115  see __exit__
        self._file.seek(self._written)
        self._file.write(part)

    async def _next(self) -> bytes:
        async with self._in_file:
            if not self._written:
                part = bytes(self._recent[:_PART])
                del self._recent[:_PART]
                return part
            part = await asyncio.to_thread(self._read_file)
            self._read += len(part)
            if self._read == self._written:
                self._read = self._written = 0
            return part

    def _read_file(self) -> bytes:
        assert self._file is not None, "something was written"
        self._file.seek(self._read)
        return self._file.read(min(_PART, self._written - self._read))
