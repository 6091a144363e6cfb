"""How commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence, Set
from dataclasses import is_dataclass
from typing import Any

import click
from pydantic import BaseModel, TypeAdapter
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 10_000  # characters: no line of a table is cut or folded in a pipe


def print_json(value: Any) -> None:
    """One line of JSON; results as their members."""
    click.echo(json.dumps(_plain(value), ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; None shows as a dash. In a pipe, columns are as wide as they need."""
    GrowingTable(columns).add(rows)


class GrowingTable:
    """A table that is printed as its rows come, under one heading; columns never get narrower."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._widths = [0] * len(columns)
        self._begun = False

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        """Print rows, below those printed before."""
        cells = [[_cell(value) for value in row] for row in rows]
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=not self._begun)
        for place, column in enumerate(self._columns):
            widest = max((cell_len(row[place]) for row in cells), default=0)
            self._widths[place] = max(self._widths[place], widest)
            table.add_column(column, overflow="fold", min_width=self._widths[place])
        for row in cells:
            table.add_row(*row)
        _console().print(table)
        self._begun = True


def _console() -> Console:
    """Standard output; in a pipe no line is cut or folded, unless COLUMNS says how wide it is."""
    out = Console(markup=False, highlight=False)
    if out.is_terminal or "COLUMNS" in os.environ:
        return out
    return Console(markup=False, highlight=False, width=_PIPE_WIDTH)


def print_members(answer: BaseModel, without: Set[str] = frozenset()) -> None:
    """A table of the members of one result, structured ones as JSON."""
    rows = [
        (name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value)
        for name, value in answer.model_dump(mode="json").items()
        if name not in without
    ]
    print_table(("what", "value"), rows)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
