"""What `--json` writes, and the same read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


def write_json(path: Path | None, content: Any) -> None:
    """Indented, for people and for diffs. path: None where nobody asked for a file"""
    if path is not None:
        path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def read_json(path: Path, kind: type[T]) -> T:
    """A dataclass whose fields, and perhaps others, were written. Raises ClickException."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"])) or "it"
        raise click.ClickException(
            f"{path} is not what this version writes ({where}: {wrong['msg']}); run it again"
        ) from error
