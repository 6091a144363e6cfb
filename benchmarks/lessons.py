"""The three small tasks of the README, `examples/*.json`: enough to show learning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.streams import Example, StreamTask

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("mail", "mood", "home")


@dataclass(frozen=True)
class Lesson:
    """A task's name and its (text, label) rows, as a POST would carry them."""

    name: str
    train: tuple[tuple[str, str], ...]

    def as_task(self) -> StreamTask:
        """The lesson as a stream's task, which is its own test set."""
        rows = tuple(Example(text, label) for text, label in self.train)
        return StreamTask(self.name, rows, rows)


def lessons() -> tuple[Lesson, ...]:
    """The tasks in the README's order."""
    return tuple(_lesson(name) for name in NAMES)


def texts() -> tuple[str, ...]:
    """Every text of every lesson."""
    return tuple(text for lesson in lessons() for text, _ in lesson.train)


def _lesson(name: str) -> Lesson:
    body = orjson.loads((EXAMPLES / f"{name}.json").read_bytes())
    return Lesson(name, tuple((row["input"], row["label"]) for row in body["examples"]))
