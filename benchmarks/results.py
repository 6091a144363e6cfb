"""Finished rows in a JSON file, so that runs go on where they stopped and pictures need no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from benchmarks.json_file import write_json
from benchmarks.stream import Row


class Results:
    """Rows, written after each so that an interrupted run goes on where it was."""

    def __init__(self, path: Path | None) -> None:
        """Begin with the rows that `path` holds. Raises ClickException for other content."""
        self._path = path
        self.rows = [] if path is None or not path.exists() else read_rows(path)

    def has(
        self,
        stream: str,
        method: str,
        seed: int,
        settings: dict[str, Any],
        *,
        hindsight: bool = False,
    ) -> bool:
        """Whether that row is there, and where hindsight is wanted, with it."""
        wanted = (stream, method, seed, settings)
        return any(
            _key(r) == wanted and not (hindsight and r.hindsight is None and r.versions)
            for r in self.rows
        )

    def add(self, row: Row) -> None:
        """Keep a finished row, in place of one of the same run."""
        self.rows = [*(r for r in self.rows if _key(r) != _key(row)), row]
        if self._path is not None:
            content = {"rows": [r.as_json() for r in self.rows]}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, content)


def _key(row: Row) -> tuple[str, str, int, dict[str, Any]]:
    return row.stream, row.method, row.seed, row.settings


def read_rows(path: Path) -> list[Row]:
    """The rows of one file. Raises ClickException where it holds others or none."""
    try:
        return [Row(**row) for row in orjson.loads(path.read_bytes())["rows"]]
    except (TypeError, KeyError, orjson.JSONDecodeError) as error:
        raise click.ClickException(
            f"{path} holds no rows of this version ({error}); name another file"
        ) from error
