"""Bytes as they come in, cut into lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Line(NamedTuple):
    """One line without its end. number: from 1; content: None where it is too long."""

    number: int
    content: bytes | None


class LineSplitter:
    """Keeps the beginning of one line, and of a line longer than `most` bytes nothing.

    Blank lines are counted and left out.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = 1
        self._kept = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that this completes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            if not self._size and len(end) <= self._most and not end.strip():
                self._number += 1  # a file of blank lines must not take for ever
                continue
            self._keep(end)
            yield from self.end()
        self._keep(rest)

    def end(self) -> Iterator[Line]:
        """What is left, as the last line."""
        content = bytes(self._kept) if self._size <= self._most else None
        if content is None or content.strip():
            yield Line(self._number, content)
        self._number += 1
        self._kept.clear()
        self._size = 0

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._most:
            self._kept += part
        else:
            self._kept.clear()
