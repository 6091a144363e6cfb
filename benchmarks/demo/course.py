"""The tasks taught one after the other to a running server, with an exam after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benchmarks.demo.digits import Deal, Digit
from perennial.client import Batch, Client

Gate = Literal["accepted", "refused", "not asked"]
Say = Callable[[str], None]

_AT_ONCE: Final = 100
"""Images of one request."""


@dataclass(frozen=True)
class Answer:
    """What the server made of one test image, when no task was named."""

    digit: Digit
    label: str
    score: float

    @property
    def is_right(self) -> bool:
        """Whether the digit is what the server takes it for."""
        return self.label == self.digit.label


@dataclass(frozen=True)
class Exam:
    """The test images of all digits taught so far. seconds: from sending the examples on"""

    answers: Sequence[Answer]
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return sum(answer.is_right for answer in self.answers) / len(self.answers)


@dataclass(frozen=True)
class Lesson:
    """One task. known: digits the server can tell apart after it

    refreshed, published: exams with the first head, and once the prompt was decided;
    gate: what it made of that prompt, `not asked` where none was trained
    """

    task: str
    known: int
    refreshed: Exam
    published: Exam
    gate: Gate


def run_course(client: Client, dealt: Deal, folder: Path, say: Say) -> Iterator[Lesson]:
    """Teach each task, and examine without naming one. folder: where the images' files lie

    Yields a lesson as soon as it is over. Raises PerennialError.
    """
    taught: set[str] = set()
    for task, digits in dealt.tasks.items():
        taught |= {digit.label for digit in digits}
        seen = [digit for digit in dealt.test if digit.label in taught]
        yield _lesson(_Pupil(client, folder, seen), task, digits, say)


@dataclass(frozen=True)
class _Pupil:
    """A server, and what it is asked after a lesson."""

    client: Client
    folder: Path
    test: Sequence[Digit]

    def examined(
        self, seconds: float, *, version: int | None = None, at_least: int | None = None
    ) -> Exam:
        """version: the one that answers; at_least: or else the oldest that may"""
        parts = [self.test[at : at + _AT_ONCE] for at in range(0, len(self.test), _AT_ONCE)]
        answers = [answer for part in parts for answer in self._answers(part, version, at_least)]
        return Exam(answers, seconds)

    def _answers(
        self, digits: Sequence[Digit], version: int | None, at_least: int | None
    ) -> Iterator[Answer]:
        files = [self.folder / digit.path for digit in digits]
        said = self.client.classify(files, top_k=1, version=version, min_version=at_least)
        for digit, result in zip(digits, said.results, strict=True):
            best = result.predictions[0]
            yield Answer(digit, best.label, best.score)

    def known(self) -> int:
        """Digits it has been taught."""
        return len({label for task in self.client.tasks() for label in task.labels})


def _lesson(pupil: _Pupil, task: str, digits: Sequence[Digit], say: Say) -> Lesson:
    client, start = pupil.client, time.monotonic()
    say(f"task {task}: learning")
    sent = client.learn(task, [(pupil.folder / digit.path, digit.label) for digit in digits])
    batch = client.wait(sent, until="refreshed")
    refreshed = pupil.examined(time.monotonic() - start, version=batch.version)
    say(f"task {task}: training a prompt")
    settled = client.wait(sent, until="published")
    seconds, gate = time.monotonic() - start, _gate(client, settled)
    newest = batch.version if settled.gate_refused else settled.version  # a candidate never serves
    say(f"task {task}: exam")
    published = pupil.examined(seconds, at_least=newest)
    return Lesson(task, pupil.known(), refreshed, published, gate)


def _gate(client: Client, batch: Batch) -> Gate:
    report = None if batch.version is None else client.version(batch.version).gate
    if report is None:
        return "not asked"
    return "accepted" if report.get("accepted") else "refused"
