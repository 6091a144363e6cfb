"""What `perennial bench load` was asked to measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backbones.engines import Runtime
from benchmarks.lessons import lessons
from benchmarks.streams import Dataset, StreamTask

Say = Callable[[str], None]

_SHOTS: Final = 16
_TASKS: Final = 10


@dataclass(frozen=True)
class Plan:
    """What is measured.

    seconds: of each phase;  clients: that send single texts
    cores: of the server and its learner, None for all;  method: the learner's
    """

    data: Path | None
    backbone: str
    runtime: Runtime
    engine: str
    replicas: int
    threads: int
    clients: int
    seconds: float
    rounds: int
    cores: int | None = None
    method: str = "frozen"

    def tasks(self) -> Sequence[StreamTask]:
        """What the server has learnt. Raises UnknownDataset."""
        if self.data is None:
            return [lesson.as_task() for lesson in lessons()]
        return Dataset.load(self.data).stream(tasks=_TASKS, shots=_SHOTS, seed=0).tasks

    def arguments(self, store: Path) -> list[str]:
        """Of `perennial serve`, with what `store` holds."""
        several = ["--replicas", str(self.replicas)] if self.engine == "ray" else []
        return [
            *("--engine", self.engine, *several, "--store", str(store)),
            *("--backbone", self.backbone, "--runtime", self.runtime),
            *("--threads", str(self.threads), "--learner-method", self.method),
        ]
