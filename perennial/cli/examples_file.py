"""Reading examples from a file: CSV with a header, one JSON object a line, or one JSON object."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from serving.names import checked_name

Example = dict[str, Any]
"""As the API takes it: `{"input": text or object, "label": text}`."""

_SHAPE = 'must be an object like {"text": …, "label": …}'
_EXCERPT = 40  # characters of a row that cannot be used
_CELL_LIMIT = 10_000_000  # characters; csv's own 131 072 is less than the server may allow


class ExamplesFileError(ValueError):
    """The file cannot be used; the message names file, place and remedy."""

    def __init__(self, path: Path, place: int | str | None, message: str) -> None:
        super().__init__(f"{path}:{place}: {message}" if place else f"{path}: {message}")


class _Row(NamedTuple):
    """One row as it stands in the file. place: its line, or its JSON pointer."""

    place: int | str
    given: Any
    members: Mapping[str, Any]


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a .csv, .jsonl, .ndjson or .json file, one at a time.

    CSV: columns `text` and `label`, optionally `text_pair`; others are ignored. JSON lines: members
    `text` or `input`, `label`, optionally `text_pair`. JSON: `{"examples": [...]}` of such objects.
    UTF-8, with or without a byte order mark.
    Raises ExamplesFileError, also where the file holds no example at all.
    """
    for row in _rows(path, ("text", "label")):
        yield {"input": _input(path, row), "label": _label(path, row)}


def read_inputs(path: Path) -> Iterator[str | dict[str, str]]:
    """The inputs of such a file, whether they have labels or not. Raises ExamplesFileError."""
    for row in _rows(path, ("text",)):
        yield _input(path, row)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[_Row]:
    """columns: what the header of a CSV must name."""
    kind = path.suffix.lower()
    if kind not in _READERS:
        known = ", ".join(_READERS)
        raise ExamplesFileError(path, None, f"unknown kind of file {kind!r}; use one of {known}")
    found = False
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in _READERS[kind](path, file, columns):
                found = True
                yield row
    except UnicodeDecodeError as error:
        raise ExamplesFileError(path, None, "is not UTF-8 text; convert it first") from error
    if not found:
        raise ExamplesFileError(path, None, "holds no examples")


def _read_csv(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[_Row]:
    csv.field_size_limit(_CELL_LIMIT)
    rows = csv.DictReader(file, strict=True)
    try:
        _check_header(path, rows.fieldnames, columns)
        for row in rows:
            line = rows.line_num
            if None in row or None in row.values():
                raise ExamplesFileError(
                    path, line, "has not as many fields as the header; quote texts with commas"
                )
            yield _Row(line, row["text"], row)
    except csv.Error as error:
        raise ExamplesFileError(path, rows.reader.line_num, f"{error}; check the quotes") from error


def _check_header(path: Path, names: Any, columns: Sequence[str]) -> None:
    needed = ",".join(columns)
    if names is None:
        raise ExamplesFileError(path, None, f"is empty; it needs a header `{needed}` and rows")
    missing = set(columns) - set(names)
    if missing:
        raise ExamplesFileError(
            path, 1, f"the header lacks {sorted(missing)}; it has {list(names)}, needs {needed}"
        )


def _read_json_lines(path: Path, file: TextIO, _: Sequence[str]) -> Iterator[_Row]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            row = _json_object(path, number, line)
            yield _Row(number, row.get("input", row.get("text")), row)


def _read_json(path: Path, file: TextIO, _: Sequence[str]) -> Iterator[_Row]:
    try:
        whole = json.load(file)
    except json.JSONDecodeError as error:
        raise ExamplesFileError(path, error.lineno, f"is not JSON ({error.msg})") from error
    rows = whole.get("examples") if isinstance(whole, dict) else None
    if not isinstance(rows, list):
        raise ExamplesFileError(path, None, 'must be an object like {"examples": [...]}')
    for number, row in enumerate(rows):
        place = f"#/examples/{number}"
        if not isinstance(row, dict):
            raise ExamplesFileError(path, place, f"{_SHAPE}, not {json.dumps(row)[:_EXCERPT]}")
        yield _Row(place, row.get("input", row.get("text")), row)


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ExamplesFileError(path, number, f"is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ExamplesFileError(path, number, f"{_SHAPE}, not {line.strip()[:_EXCERPT]}")
    return row


def _label(path: Path, row: _Row) -> str:
    """By the server's own rule for names, so that nothing is sent that it would refuse."""
    label = row.members.get("label")
    if not isinstance(label, str) or not label.strip():
        raise ExamplesFileError(path, row.place, f"needs a label that is text, not {label!r}")
    try:
        checked_name(label)
    except ValueError as error:
        raise ExamplesFileError(path, row.place, f"the label cannot be used: {error}") from error
    return label


def _input(path: Path, row: _Row) -> str | dict[str, str]:
    """Checks that there is something in it; what else it may hold is the server's to judge."""
    given = row.given
    text = given.get("text", "-") if isinstance(given, dict) else given
    if not isinstance(text, str) or not text.strip():
        raise ExamplesFileError(path, row.place, f"needs a text that is not empty, not {text!r}")
    if isinstance(given, dict):
        return given
    pair = row.members.get("text_pair")
    return {"text": text, "text_pair": pair} if pair else text


_READERS = {
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
}
SUFFIXES = frozenset(_READERS)
