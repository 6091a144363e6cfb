"""Rows as `bench stream` writes them, from an accuracy matrix."""

from __future__ import annotations

import numpy as np

from benchmarks.measures import (
    average_incremental_accuracy,
    backward_transfer,
    final_accuracy,
    forgetting,
)
from benchmarks.stream import Row

NAN = np.nan
MATRIX = ((0.9, 0.8, 0.6), (NAN, 0.7, 0.8), (NAN, NAN, 1.0))


def row(method: str, seed: int = 0, stream: str = "words") -> Row:
    """A row of three tasks."""
    matrix = np.array(MATRIX)
    return Row(
        stream=stream,
        method=method,
        seed=seed,
        tasks=["mail", "mood", "home"],
        final_accuracy=final_accuracy(matrix),
        dataset_accuracy=final_accuracy(matrix),
        average_incremental_accuracy=average_incremental_accuracy(matrix),
        forgetting=forgetting(matrix),
        backward_transfer=backward_transfer(matrix),
        task_given_accuracy=0.95,
        task_given_forgetting=0.0,
        cpu_seconds_per_task=[1.0, 2.0, 3.0],
        refresh_cpu_seconds_per_task=[0.1, 0.1, 0.1],
        bytes_per_version=[10, 10, 10],
        versions=3,
        candidates_refused=1,
        accuracy_matrix=[[None if np.isnan(a) else float(a) for a in line] for line in matrix],
    )


def at_once(stream: str = "words") -> Row:
    """A row of a method that learns all tasks at once, and so has no matrix."""
    return Row(
        stream=stream,
        method="joint-finetune",
        seed=0,
        tasks=["mail", "mood", "home"],
        final_accuracy=0.85,
        dataset_accuracy=0.85,
        average_incremental_accuracy=None,
        forgetting=None,
        backward_transfer=None,
        task_given_accuracy=0.97,
        task_given_forgetting=None,
        cpu_seconds_per_task=[],
        refresh_cpu_seconds_per_task=[],
        bytes_per_version=[],
        versions=0,
        candidates_refused=0,
        accuracy_matrix=[],
    )
