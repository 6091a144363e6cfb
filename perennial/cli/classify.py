"""`perennial classify`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, tee
from pathlib import Path

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.examples_file import SUFFIXES, ExamplesFileError, read_inputs
from perennial.cli.image_files import (
    IMAGE_SUFFIXES,
    OTHER_SUFFIXES,
    ImageFileError,
    check_image,
)
from perennial.cli.output import GrowingTable, print_json
from perennial.client import StreamResult
from perennial.client.calls import Input
from perennial.client.parts import in_parts

ROWS = 32
"""Inputs that are printed together."""
_SHOWN = 60  # characters of an input in the table

Named = tuple[str, Input]
"""What to call it, and the input."""
Answered = tuple[str, StreamResult]
"""What it was called, and what became of it."""


@click.command()
@click.argument("given", metavar="[TEXT|IMAGE]...", nargs=-1)
@click.option("--task", help="Only classes of this task.")
@click.option(
    "--file", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with one text a line, a file as `learn` reads it (.csv, .jsonl, .json; labels are "
    "not needed), or an image. Can be given more than once.",
)  # fmt: skip
@click.option("--top-k", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--version", type=int, help="Answer from exactly this version.")
@click.option("--min-version", type=int, help="Answer from this version or a newer one.")
@connected
def classify(
    connection: Connection,
    given: tuple[str, ...],
    files: tuple[Path, ...],
    task: str | None,
    top_k: int,
    version: int | None,
    min_version: int | None,
) -> None:
    """Classify texts, image files, or the lines of a file.

    A word that ends like the name of an image (.jpg, .jpeg, .png, .webp) is one. Files may be of
    any size: they are read while they are sent. An input that the server refuses is named, and the
    others are classified. With --json, one object per input: for files that programs read on.
    """
    names, inputs = tee(chain([_argument(one) for one in given], _from_files(files)))
    with connection.client() as client:
        results = client.classify_stream(
            (one for _, one in inputs), task, top_k, version, min_version
        )
        answered = zip((name for name, _ in names), results, strict=True)
        shown = _Shown(connection.json)
        for part in in_parts(answered, ROWS):
            shown.add(part)
    if not shown.inputs:
        raise click.UsageError(
            "Nothing to classify: give a TEXT, an IMAGE, or a --file with texts in it."
        )
    shown.close()


def _argument(given: str) -> Named:
    """A text, or an image by its path. Raises UsageError."""
    suffix = Path(given).suffix.lower()
    if suffix not in IMAGE_SUFFIXES | OTHER_SUFFIXES:
        return given, given
    if _is_file(given):
        if suffix in OTHER_SUFFIXES:
            raise click.UsageError(f"{given} is no PNG, JPEG or WebP image; convert it.")
        return _image(Path(given))
    if suffix in OTHER_SUFFIXES or any(character.isspace() for character in given):
        return given, given
    raise click.UsageError(
        f"There is no image {given}. (To classify these words as a text, put them into a file and "
        "name that with --file.)"
    )


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # too long for a name, or not to be written in one
        return False


def _image(path: Path) -> Named:
    try:
        check_image(path)
    except ImageFileError as error:
        raise click.UsageError(str(error)) from error
    return str(path), path


def _from_files(files: Sequence[Path]) -> Iterator[Named]:
    """Every text or image. Raises UsageError for other files."""
    for file in files:
        if file.suffix.lower() in IMAGE_SUFFIXES:
            yield _image(file)
            continue
        if file.suffix.lower() in SUFFIXES:
            yield from _from_rows(file)
            continue
        try:
            with file.open(encoding="utf-8-sig") as lines:
                texts = (line.rstrip("\n") for line in lines)
                yield from ((text, text) for text in texts if text.strip())
        except UnicodeDecodeError as error:
            raise click.UsageError(
                f"{file} is neither UTF-8 text nor named like a PNG, JPEG or WebP image "
                f"({error.reason})."
            ) from error


def _from_rows(file: Path) -> Iterator[Named]:
    try:
        for one in read_inputs(file):
            yield (one if isinstance(one, str) else one.get("text", file.name)), one
    except ExamplesFileError as error:
        raise click.UsageError(str(error)) from error


class _Shown:
    """Answers printed as they come: one table, or an object a line; what was refused to stderr."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._table = GrowingTable(("input", "class", "score", "novelty"))
        self._versions: dict[int, None] = {}
        self._refused = 0
        self.inputs = 0

    def add(self, part: Sequence[Answered]) -> None:
        """Print these."""
        refused = [(name, one.error) for name, one in part if one.error is not None]
        self.inputs += len(part)
        self._refused += len(refused)
        if self._json:
            for _, one in part:
                print_json(one)
            return
        self._versions |= {one.version: None for _, one in part if one.version is not None}
        if len(refused) < len(part):
            self._table.add(row for name, one in part for row in _rows(name, one))
        for name, error in refused:
            click.echo(f"{_short(name)}: {error.detail or error.title}", err=True)

    def close(self) -> None:
        """Say which versions answered. Raises ClickException where an input was refused."""
        if self._versions:
            click.echo(f"version {', '.join(map(str, self._versions))}", err=True)
        if self._refused:
            raise click.ClickException(f"{self._refused} inputs could not be classified.")


def _rows(name: str, one: StreamResult) -> Iterator[tuple[object, ...]]:
    for rank, best in enumerate(one.predictions):
        first = rank == 0
        label = f"{best.task}/{best.label}"
        yield _short(name) if first else "", label, best.score, one.novelty if first else ""


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
