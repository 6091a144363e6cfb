"""What a loaded version weighs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from serving.snapshot import Snapshot


@dataclass(frozen=True)
class Weight:
    """Bytes of a version's arrays, without what all versions share."""

    bank: int
    heads: int
    novelty: int
    router: int


def weigh(snapshot: Snapshot) -> Weight:
    """Of the arrays, each counted once."""
    content, bank = snapshot.content, snapshot.bank
    heads = [*(domain.head for domain in content.domains), *content.heads.values()]
    measures = [domain.novelty for domain in content.domains if domain.novelty is not None]
    return Weight(
        bank=0 if bank is None else _bytes(bank.tensors().values()),
        heads=sum(_bytes(head.tensors().values()) for head in heads),
        novelty=sum(_bytes(measure.tensors().values()) for measure in measures),
        router=0 if content.router is None else _bytes(content.router.tensors().values()),
    )


def _bytes(arrays: Iterable[NDArray[Any]]) -> int:
    return sum(array.nbytes for array in arrays)
