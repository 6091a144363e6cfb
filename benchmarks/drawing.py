"""The style that pictures of docs/ share. Needs matplotlib (the extra `dev` has it)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = (
    *("#2a6f97", "#e07a5f", "#3d9970", "#8e6fb5", "#c9a227"),
    *("#6b7280", "#c2528b", "#4aa8b5"),
)
INK: Final = "#374151"
FAINT: Final = "#e5e7eb"
LEFT: Final[dict[str, Any]] = {"fontsize": 10, "loc": "left", "color": INK}
"""Of titles."""


def panels(
    count: int, size: tuple[float, float], *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """So many side by side. size: inches of the whole"""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(
        1, count, figsize=size, layout="constrained", squeeze=False, sharey=sharey
    )
    for axes in grid[0]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid[0])


def bars(
    axes: Axes,
    values: Sequence[tuple[float, float] | None],
    colours: Sequence[str],
    digits: int = 1,
) -> None:
    """From top to bottom, each a value and its ± with its number behind it, None a dash."""
    ends = [0.0]
    for place, (value, colour) in enumerate(zip(values, colours, strict=True)):
        if value is None:
            axes.text(0, place, " –", va="center", color=INK, fontsize=8)
            continue
        length, wide = value
        axes.barh(place, length, height=0.62, color=colour, xerr=wide or None, ecolor=INK)
        ends.append(max(length, 0.0) + wide)
        shown = f"  {length:.{digits}f}"
        axes.text(ends[-1], place, shown, va="center", color=INK, fontsize=8)
    axes.set_xlim(right=1.15 * max(ends) or 1.0)
    axes.tick_params(axis="y", length=0)


def name_bars(axes: Axes, names: Sequence[str]) -> None:
    """Beside the first of panels that share their bars' places."""
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()


def save(figure: Figure, path: Path) -> None:
    """PNG, SVG or what else the name ends in; makes the folder."""
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, facecolor="white")
    plt.close(figure)
