"""What a version costs a replica, without HTTP: CPU time in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import Final

import numpy as np

from backbones import Backbone, Input
from benchmarks.lessons import texts
from prompt_store import Store
from serving.forward import ForwardPass, Slice, Work
from serving.precision import Engines
from serving.snapshot import SnapshotLoader

BATCH: Final = 32
"""Texts that wait together, and the tasks they name where they are mixed."""
FIRST: Final = np.zeros(1, np.int64)
SINGLES: Final = 8
"""Requests of one text that are timed together, one after the other."""


class Replica:
    """A version loaded for a backbone, and the passes that are timed on it."""

    def __init__(
        self, store: Store, version: int, backbone: Backbone, names: Sequence[str]
    ) -> None:
        self._store, self._version, self._backbone = store, version, backbone
        self._names = list(names)
        self._forward = ForwardPass(Engines(backbone))
        self._inputs = [Input(text=text) for text in batch_of_texts()]
        self._batch = backbone.preprocess(self._inputs)
        self.snapshot = SnapshotLoader(store, backbone).load(version)

    @property
    def passes(self) -> Mapping[str, Callable[[], object]]:
        """What is timed: requests as the server's worker has them, and bare passes.

        unnamed, named: `SINGLES` requests, that name no task, or each another
        one, mixed: `BATCH` requests of one task in a pass, or each of another
        bare_one, bare_mixed: the encoder alone under the prompts of the last two
        """
        one, mixed = BATCH * self._names[:1], self._some(BATCH)
        return {
            "unnamed": lambda: self._one_by_one(SINGLES * [None]),
            "named": lambda: self._one_by_one(self._some(SINGLES)),
            "one": lambda: self._answer(one),
            "mixed": lambda: self._answer(mixed),
            "bare_one": lambda: self._encode(one),
            "bare_mixed": lambda: self._encode(mixed),
        }

    def load(self) -> None:
        """As a replica that has nothing yet does."""
        SnapshotLoader(self._store, self._backbone).load(self._version)

    def _some(self, count: int) -> list[str]:
        """Names of tasks spread over all, again from the first where there are fewer."""
        spread = self._names[:: max(1, len(self._names) // count)]
        return list(islice(cycle(spread), count))

    def _one_by_one(self, tasks: Sequence[str | None]) -> None:
        for task in tasks:
            self._answer([task])

    def _answer(self, tasks: Sequence[str | None]) -> None:
        """One text for each of these tasks, in one pass."""
        slices = [
            Slice(Work([one], self._backbone.preprocess([one]), task), self.snapshot, FIRST)
            for one, task in zip(self._inputs, tasks, strict=False)
        ]
        for outcome in self._forward(slices):
            if isinstance(outcome, Exception):
                raise outcome

    def _encode(self, tasks: Sequence[str]) -> None:
        rows = np.array([self.snapshot.row(task) for task in tasks])
        self._backbone.encode_layers(self._batch, self.snapshot.bank, rows)


def batch_of_texts() -> list[str]:
    """`BATCH` of the README's texts."""
    return list(islice(cycle(texts()), BATCH))
