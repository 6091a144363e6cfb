"""Pictures of docs/performance.md, drawn from what the runs behind its tables wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from benchmarks import swap_plot
from benchmarks.json_file import read_json
from benchmarks.scale import plot as scale_plot
from benchmarks.scale.run import ScaleResult
from benchmarks.swap import Trace
from benchmarks.throughput import comparison_plot
from benchmarks.throughput import plot as load_plot
from benchmarks.throughput.comparison import Comparison
from benchmarks.throughput.run import LoadResult

T = TypeVar("T")


@dataclass(frozen=True)
class Picture(Generic[T]):
    """kind: what `--json` wrote;  draw: that, into a file"""

    kind: type[T]
    draw: Callable[[T, Path], None]

    def redraw(self, source: Path, path: Path) -> None:
        """Raises ClickException where `source` holds something else."""
        self.draw(read_json(source, self.kind), path)


@dataclass(frozen=True)
class Traced:
    """What `bench swap --json` writes beside its result."""

    trace: Trace


PICTURES: Final[dict[str, Picture[Any]]] = {
    "swap": Picture(Traced, lambda traced, path: swap_plot.draw(traced.trace, path)),
    "load": Picture(LoadResult, load_plot.draw),
    "load-peers": Picture(Comparison, comparison_plot.draw),
    "scale": Picture(ScaleResult, scale_plot.draw),
}
"""By name: that of the JSON file and of the picture."""
