"""`perennial classify`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.examples_file import SUFFIXES, ExamplesFileError, read_inputs
from perennial.cli.output import print_json, print_table
from perennial.cli.parts import in_parts
from perennial.client import Classification
from perennial.client.calls import Input

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})
INPUTS_PER_CALL = 32
_SHOWN = 60  # characters of an input in the table


@click.command()
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
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
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    task: str | None,
    top_k: int,
    version: int | None,
    min_version: int | None,
) -> None:
    """Classify texts, or the lines or image of a file.

    With --json, one object per call of up to 32 inputs.
    """
    named = [*((text, text) for text in texts), *_from_files(files)]
    if not named:
        raise click.UsageError("Nothing to classify: give a TEXT, or a --file with texts in it.")
    with connection.client() as client:
        for part in in_parts(named, INPUTS_PER_CALL):
            given = [one for _, one in part]
            answer = client.classify(given, task, top_k, version, min_version)
            _show(connection, [name for name, _ in part], answer)


def _from_files(files: Sequence[Path]) -> Iterator[tuple[str, Input]]:
    """(what to call it, input) for every text or image. Raises UsageError for other files."""
    for file in files:
        if file.suffix.lower() in IMAGE_SUFFIXES:
            yield file.name, file.read_bytes()
            continue
        if file.suffix.lower() in SUFFIXES:
            yield from _from_rows(file)
            continue
        try:
            lines = file.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise click.UsageError(
                f"{file} is neither UTF-8 text nor named like an image ({error.reason})."
            ) from error
        yield from ((line, line) for line in lines if line.strip())


def _from_rows(file: Path) -> Iterator[tuple[str, Input]]:
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
