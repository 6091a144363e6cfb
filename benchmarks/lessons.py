"""The three small tasks of the README, `examples/*.json`: enough to show learning."""

from __future__ import annotations

from pathlib import Path

import orjson

from benchmarks.streams import StreamTask

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("mail", "mood", "home")


def lessons() -> tuple[StreamTask, ...]:
    """The tasks in the README's order; each is its own test set."""
    return tuple(_lesson(name) for name in NAMES)


def texts() -> tuple[str, ...]:
    """Every text of every lesson."""
    return tuple(text for lesson in lessons() for text, _ in lesson.train)


def _lesson(name: str) -> StreamTask:
    body = orjson.loads((EXAMPLES / f"{name}.json").read_bytes())
    rows = tuple((row["input"], row["label"]) for row in body["examples"])
    return StreamTask(name, rows, rows)
