"""The demo as one picture: what the server takes test digits for, and how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from benchmarks.demo.course import Answer, Lesson
from benchmarks.demo.digits import LABELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

RIGHT: Final = "#2a6f97"
WRONG: Final = "#c2410c"
INK: Final = "#374151"
FAINT: Final = "#e5e7eb"
_SIZE: Final = (10.0, 4.3)  # inches
_SHADES: Final = 128
_SAMPLE_ROWS: Final = 3
_COLUMNS: Final = len(LABELS)
_LEFT: Final[dict[str, Any]] = {"fontsize": 10, "color": INK, "x": 0.01, "ha": "left"}


def draw(lessons: Sequence[Lesson], folder: Path, path: Path, title: str) -> None:
    """Needs matplotlib. folder: where the images' files lie;  path: of the PNG to write"""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=_SIZE, layout="constrained")
    panels: Any = figure.subfigures(1, 2, width_ratios=(1.75, 1), wspace=0.03)
    left, right = panels
    _draw_answers(left, lessons[-1].published.answers, folder)
    _draw_accuracy(right, lessons)
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left", weight="bold")
    _save(figure, path)
    plt.close(figure)


def sample(answers: Sequence[Answer]) -> list[Answer]:
    """The first test images of each digit, right or wrong, row by row."""
    of = [[answer for answer in answers if answer.digit.label == label] for label in LABELS]
    return [each[row] for row in range(_SAMPLE_ROWS) for each in of if row < len(each)]


def mistakes(answers: Sequence[Answer]) -> list[Answer]:
    """Those that are wrong, the surest first."""
    return sorted((a for a in answers if not a.is_right), key=lambda answer: -answer.score)


def _save(figure: Figure, path: Path) -> None:
    """With a palette: half of the bytes, and nobody sees it."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=110, facecolor="white")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_SHADES).save(path, optimize=True)


def _draw_answers(panel: SubFigure, answers: Sequence[Answer], folder: Path) -> None:
    wrong = mistakes(answers)
    parts: Any = panel.subfigures(2, 1, height_ratios=(_SAMPLE_ROWS, 1))
    upper, lower = parts
    _draw_rows(upper, sample(answers), _SAMPLE_ROWS, folder)
    upper.suptitle("some of the test digits, and what the server takes them for", **_LEFT)
    _draw_rows(lower, wrong[:_COLUMNS], 1, folder)
    shown = f", the {_COLUMNS} it is surest of" if len(wrong) > _COLUMNS else ""
    lower.suptitle(f"wrong: {len(wrong)} of {len(answers)}{shown}", **_LEFT)


def _draw_rows(panel: SubFigure, answers: Sequence[Answer], rows: int, folder: Path) -> None:
    cells = np.ravel(panel.subplots(rows, _COLUMNS))
    for cell in cells:
        cell.set_axis_off()
    for cell, answer in zip(cells, answers, strict=False):
        _draw_answer(cell, answer, folder)


def _draw_answer(cell: Axes, answer: Answer, folder: Path) -> None:
    """A right answer plainly; a wrong one framed, crossed, and with the truth."""
    with Image.open(folder / answer.digit.path) as image:
        cell.imshow(image, cmap="gray", vmin=0, vmax=255)
    colour = RIGHT if answer.is_right else WRONG
    said = rf"$\bf{{{answer.label}}}$ {100 * answer.score:.0f} %"
    cell.set_title(said if answer.is_right else f"✗ {said}", fontsize=8, color=colour, pad=3)
    cell.set_axis_on()
    cell.set(xticks=[], yticks=[])
    cell.spines[:].set(color=FAINT if answer.is_right else WRONG)
    if not answer.is_right:
        cell.spines[:].set_linewidth(2)
        cell.set_xlabel(f"is {answer.digit.label}", fontsize=8, color=INK, labelpad=2)


def _draw_accuracy(panel: SubFigure, lessons: Sequence[Lesson]) -> None:
    axes, steps = panel.subplots(), range(len(lessons))
    refreshed = [100 * lesson.refreshed.accuracy for lesson in lessons]
    published = [100 * lesson.published.accuracy for lesson in lessons]
    axes.plot(steps, refreshed, "o", ms=10, color=INK, mfc="none", label="as soon as it is usable")
    axes.plot(steps, published, "o-", color=RIGHT, label="once its prompt is decided")
    axes.set_xticks(steps, [f"+{lesson.task}" for lesson in lessons])
    axes.set_xlabel("digits taught, task after task")
    axes.set_ylabel("right, % of all digits so far")
    axes.set_ylim(min(80.0, *refreshed, *published) - 2, 101)
    axes.grid(axis="y", color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="lower left", frameon=False, fontsize=8, title="after each task", alignment="left"
    )
