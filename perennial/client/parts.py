"""Cutting a stream into calls of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items in order; the last may be shorter."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def in_bounded_parts(
    items: Iterable[T], size: int, budget: int, cost: Callable[[T], int]
) -> Iterator[list[T]]:
    """Lists of at most `size` items in order, whose costs sum to at most `budget`.

    An item that costs more than that goes alone.
    """
    part: list[T] = []
    spent = 0
    for item in items:
        more = cost(item)
        if part and (len(part) == size or spent + more > budget):
            yield part
            part, spent = [], 0
        part.append(item)
        spent += more
    if part:
        yield part
