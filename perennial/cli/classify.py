"""`perennial classify`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.examples_file import SUFFIXES, ExamplesFileError, read_inputs
from perennial.cli.image_files import (
    IMAGE_SUFFIXES,
    OTHER_SUFFIXES,
    ImageFileError,
    UploadLimits,
    check_image,
    cost,
)
from perennial.cli.output import print_json, print_table
from perennial.cli.parts import in_bounded_parts
from perennial.client import Classification, Client
from perennial.client.calls import Input

INPUTS_PER_CALL = 32
_SHOWN = 60  # characters of an input in the table

Named = tuple[str, Input]
"""What to call it, and the input."""


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

    A word that ends like the name of an image (.jpg, .jpeg, .png, .webp) is one. With --json, one
    object per call of up to 32 inputs.
    """
    named = [*map(_argument, given), *_from_files(files)]
    if not named:
        raise click.UsageError(
            "Nothing to classify: give a TEXT, an IMAGE, or a --file with texts in it."
        )
    with connection.client() as client:
        for part in in_bounded_parts(named, INPUTS_PER_CALL, _budget(client, named), _cost):
            inputs = [one for _, one in part]
            answer = client.classify(inputs, task, top_k, version, min_version)
            _show(connection, [name for name, _ in part], answer)


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


def _budget(client: Client, named: Sequence[Named]) -> int:
    """What the images of one call may cost. Raises UsageError where one is too large."""
    images = [one for _, one in named if isinstance(one, Path)]
    if not images:
        return 1
    limits = UploadLimits.of(client.info().limits)
    try:
        for path in images:
            limits.check(path)
    except ImageFileError as error:
        raise click.UsageError(str(error)) from error
    return limits.budget


def _cost(one: Named) -> int:
    return cost(one[1]) if isinstance(one[1], Path) else 0


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
            lines = file.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise click.UsageError(
                f"{file} is neither UTF-8 text nor named like a PNG, JPEG or WebP image "
                f"({error.reason})."
            ) from error
        yield from ((line, line) for line in lines if line.strip())


def _from_rows(file: Path) -> Iterator[Named]:
    try:
        for one in read_inputs(file):
            yield (one if isinstance(one, str) else one.get("text", file.name)), one
    except ExamplesFileError as error:
        raise click.UsageError(str(error)) from error


def _show(connection: Connection, names: Sequence[str], answer: Classification) -> None:
    if connection.json:
        print_json(answer)
        return
    rows = []
    for name, result in zip(names, answer.results, strict=True):
        shown = name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
        for rank, one in enumerate(result.predictions):
            first = rank == 0
            rows.append(
                (
                    shown if first else "",
                    f"{one.task}/{one.label}",
                    one.score,
                    (result.novelty if first else ""),
                )
            )
    print_table(("input", "class", "score", "novelty"), rows)
    click.echo(f"version {answer.version}", err=True)
