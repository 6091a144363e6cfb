"""What was measured on one peer, stream and seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.measures import average_incremental_accuracy, final_accuracy, forgetting

Percentiles = dict[str, float]
"""p50, p99 and worst in milliseconds, and the number of requests."""


@dataclass(frozen=True)
class PeerRow:
    """Accuracies are fractions, without task id. Seconds are CPU seconds."""

    stream: str
    peer: str
    seed: int
    final_accuracy: float
    average_incremental_accuracy: float
    forgetting: float
    cpu_seconds_per_task: list[float]
    milliseconds_quiet: Percentiles | None
    milliseconds_learning: Percentiles | None
    peak_bytes: int
    about: dict[str, Any]
    accuracy_matrix: list[list[float | None]] = field(repr=False)

    @classmethod
    def of(cls, stream: str, peer: str, seed: int, result: dict[str, Any]) -> PeerRow:
        """From what the examination wrote."""
        matrix = np.asarray(result["accuracy_matrix"], dtype=np.float64)
        return cls(
            stream=stream,
            peer=peer,
            seed=seed,
            final_accuracy=final_accuracy(matrix),
            average_incremental_accuracy=average_incremental_accuracy(matrix),
            forgetting=forgetting(matrix),
            **result,
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)
