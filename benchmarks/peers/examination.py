"""What every compared system goes through, inside that system's own environment.

Only the standard library: this file runs beside whatever the system has installed. A stream is read
from JSON, learnt task by task, and what was measured is written as JSON. After each task all test
rows seen so far are predicted, with no task named. While a task is learnt, and once more when the
system rests, single predictions are asked for at a fixed pace.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peers.pace import Pace, percentiles

REQUESTS_A_SECOND = 1.0
"""While learning: so few that answering them costs the learner little."""
QUIET_REQUESTS_A_SECOND = 5.0
QUIET_REQUESTS = 100
BYTES_OF_KIB = 1024
MARK = "examination: "
"""Begins every line of progress on standard output."""


@dataclass(frozen=True)
class Task:
    """One task of a stream: texts and labels, side by side."""

    name: str
    train_texts: list[str]
    train_labels: list[str]
    test_texts: list[str]
    test_labels: list[str]


class Subject(Protocol):
    """A system under examination."""

    def learn(self, task: Task) -> None:
        """Learn a task; returns when predictions know it."""

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The best label of each text, in the way the system is quickest at many."""

    def predict_one(self, text: str) -> str:
        """The best label, asked for as one request would; called from another thread."""

    def cpu_seconds(self) -> float:
        """CPU seconds of all its processes so far."""

    def peak_bytes(self) -> int:
        """Largest resident set so far, summed over its processes."""

    def about(self) -> dict[str, Any]:
        """Versions and every setting that is not the system's default."""


class InThisProcess:
    """The costs of a subject that is a library."""

    def cpu_seconds(self) -> float:
        """Of this process, all threads."""
        return time.process_time()

    def peak_bytes(self) -> int:
        """Of this process (Linux counts it in KiB)."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_KIB


def examine(
    subject: Subject,
    tasks: Sequence[Task],
    *,
    rate: float = REQUESTS_A_SECOND,
    quiet: int = QUIET_REQUESTS,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Learn all tasks; what was measured. `accuracy_matrix[i][j]`: task i after learning task j."""
    matrix: list[list[float | None]] = [[None] * len(tasks) for _ in tasks]
    cpu: list[float] = []
    waits: list[float] = []
    for j, task in enumerate(tasks):
        say(f"{task.name}: learning {len(task.train_texts)} examples")
        known = [text for earlier in tasks[:j] for text in earlier.test_texts]
        started = subject.cpu_seconds()
        with Pace(subject.predict_one, known, rate) as pace:
            subject.learn(task)
        cpu.append(round(subject.cpu_seconds() - started, 3))
        waits += pace.seconds
        for i, earlier in enumerate(tasks[: j + 1]):
            matrix[i][j] = accuracy(subject.predict(earlier.test_texts), earlier.test_labels)
        say(f"{task.name}: {cpu[-1]:.1f} CPU s, its own test rows {matrix[j][j]:.3f}")
    say("asking it while it rests")
    texts = [text for task in tasks for text in task.test_texts]
    with Pace(subject.predict_one, texts, QUIET_REQUESTS_A_SECOND, limit=quiet) as rest:
        rest.wait()
    return {
        "accuracy_matrix": matrix,
        "cpu_seconds_per_task": cpu,
        "milliseconds_quiet": percentiles(rest.seconds),
        "milliseconds_learning": percentiles(waits),
        "peak_bytes": subject.peak_bytes(),
        "about": subject.about(),
    }


def accuracy(predicted: Sequence[str], labels: Sequence[str]) -> float:
    """Share of equal labels. Raises ValueError for another number of answers than of labels."""
    if len(predicted) != len(labels):
        raise ValueError(f"{len(predicted)} predictions for {len(labels)} texts")
    return sum(p == y for p, y in zip(predicted, labels, strict=True)) / len(labels)


def read_tasks(content: dict[str, Any]) -> list[Task]:
    """The tasks of a stream file."""
    return [Task(**task) for task in content["tasks"]]


def main(build: Callable[[dict[str, Any]], Subject]) -> None:
    """`run.py STREAM.json RESULT.json`: build a subject for the stream and examine it."""
    source, target = map(Path, sys.argv[1:3])
    content = json.loads(source.read_text())
    subject = build(content)
    result = examine(
        subject,
        read_tasks(content),
        rate=content["requests_a_second"],
        quiet=content["quiet_requests"],
        say=lambda text: print(f"{MARK}{text}", flush=True),
    )
    part = target.with_suffix(".part")
    part.write_text(json.dumps(result, indent=1))
    part.replace(target)
