"""Reading labelled examples from a file: CSV with a header, or one JSON object a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

Example = dict[str, Any]
"""As the API takes it: `{"input": text or object, "label": text}`."""

_CELL_LIMIT = 10_000_000  # characters; csv's own 131 072 is less than the server may allow


class ExamplesFileError(ValueError):
    """The file cannot be used; the message names file, line and remedy."""

    def __init__(self, path: Path, line: int | None, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a .csv, .jsonl or .ndjson file, one at a time.

    CSV: columns `text` and `label`, optionally `text_pair`; others are ignored. JSON lines: members
    `text` or `input`, `label`, optionally `text_pair`. UTF-8, with or without a byte order mark.
    Raises ExamplesFileError, also where the file holds no example at all.
    """
    kind = path.suffix.lower()
    if kind not in _READERS:
        known = ", ".join(_READERS)
        raise ExamplesFileError(path, None, f"unknown kind of file {kind!r}; use one of {known}")
    found = False
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for example in _READERS[kind](path, file):
                found = True
                yield example
    except UnicodeDecodeError as error:
        raise ExamplesFileError(path, None, "is not UTF-8 text; convert it first") from error
    if not found:
        raise ExamplesFileError(path, None, "holds no examples")


def _read_csv(path: Path, file: TextIO) -> Iterator[Example]:
    csv.field_size_limit(_CELL_LIMIT)
    rows = csv.DictReader(file, strict=True)
    try:
        _check_header(path, rows.fieldnames)
        for row in rows:
            line = rows.line_num
            if None in row or None in row.values():
                raise ExamplesFileError(
                    path, line, "has not as many fields as the header; quote texts with commas"
                )
            yield _example(path, line, row, row["text"])
    except csv.Error as error:
        raise ExamplesFileError(path, rows.reader.line_num, f"{error}; check the quotes") from error


def _check_header(path: Path, names: Any) -> None:
    if names is None:
        raise ExamplesFileError(path, None, "is empty; it needs a header `text,label` and rows")
    missing = {"text", "label"} - set(names)
    if missing:
        raise ExamplesFileError(
            path, 1, f"the header lacks {sorted(missing)}; it has {list(names)}, needs text,label"
        )


def _read_json_lines(path: Path, file: TextIO) -> Iterator[Example]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            row = _json_object(path, number, line)
            yield _example(path, number, row, row.get("input", row.get("text")))


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ExamplesFileError(path, number, f"is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ExamplesFileError(
            path,
            number,
            f'must be an object like {{"text": …, "label": …}}, not {line.strip()[:40]}',
        )
    return row


def _example(path: Path, line: int, row: Mapping[str, Any], given: Any) -> Example:
    """Checks that both sides are there; what they may hold is the server's to judge."""
    label = row.get("label")
    if not isinstance(label, str) or not label.strip():
        raise ExamplesFileError(path, line, f"needs a label that is text, not {label!r}")
    if isinstance(given, dict):
        return {"input": given, "label": label}
    if not isinstance(given, str) or not given.strip():
        raise ExamplesFileError(path, line, f"needs a text that is not empty, not {given!r}")
    pair = row.get("text_pair")
    return {"input": {"text": given, "text_pair": pair} if pair else given, "label": label}


_READERS = {".csv": _read_csv, ".jsonl": _read_json_lines, ".ndjson": _read_json_lines}
