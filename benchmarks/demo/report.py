"""What the demo found, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.demo.course import Exam, Lesson
from benchmarks.demo.digits import LABELS

HEADINGS: Final = (
    *("task", "known", "usable after", "right"),
    *("prompt decided after", "right", "prompt"),
)


def line(lesson: Lesson) -> str:
    """One lesson in one line."""
    first, then = lesson.refreshed, lesson.published
    return (
        f"task {lesson.task}: {lesson.known} of {len(LABELS)} digits known, "
        f"{_right(first)} right after {_seconds(first)}, {_right(then)} after {_seconds(then)} "
        f"(new prompt {lesson.gate})"
    )


def table(lessons: Sequence[Lesson]) -> Table:
    """One row a lesson."""
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        drawn.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
    for one in lessons:
        first, then = one.refreshed, one.published
        drawn.add_row(
            *(one.task, f"{one.known}"),
            *(_seconds(first), _right(first), _seconds(then), _right(then), one.gate),
        )
    return drawn


def print_report(lessons: Sequence[Lesson], console: Console) -> None:
    """The table, and what it comes to."""
    last = lessons[-1].published
    console.print(table(lessons))
    console.print(
        f"{_right(last)} of {len(last.answers)} test images right, of all "
        f"{lessons[-1].known} digits and without naming a task."
    )


def _right(exam: Exam) -> str:
    return f"{100 * exam.accuracy:.1f} %"


def _seconds(exam: Exam) -> str:
    return f"{exam.seconds:.1f} s"
