"""`perennial learn`"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from perennial.cli.connection import Connection, clear_errors, connected, one_line
from perennial.cli.examples_file import ExamplesFileError, read_examples
from perennial.cli.following import follow
from perennial.cli.output import print_json
from perennial.cli.parts import in_parts
from perennial.cli.progress import LearningProgress
from perennial.client import Batch, PerennialError
from perennial.client.waiting import Until
from serving.names import checked_name

EXAMPLES_PER_BATCH = 256


@click.command()
@click.argument("task")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--wait", "until", type=click.Choice(["published", "refreshed", "none"]), default="published",
    show_default=True, help="Return when prompts are decided, labels are usable, or at once.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=3600.0, show_default=True,
    help="Seconds to wait for that.",
)  # fmt: skip
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=EXAMPLES_PER_BATCH, show_default=True,
    help="Examples per call.",
)  # fmt: skip
@connected
def learn(
    connection: Connection,
    task: str,
    file: Path,
    until: Literal["published", "refreshed", "none"],
    timeout: float,
    batch_size: int,
) -> None:
    """Teach TASK from FILE: CSV with the header `text,label`, or JSON lines with these members.

    A .json file of the form {"examples": [{"text", "label"}, …]} will do too. The whole file is
    checked before anything is sent.
    """
    _check(task)
    total = _count(file)
    with LearningProgress(task, total, until, shown=not connection.json) as progress:
        batches = _send(connection, task, file, total, batch_size, progress)
        if until != "none":
            batches = _wait(connection, batches, until, timeout, progress)
    if connection.json:
        print_json({"batches": [one.model_dump(mode="json") for one in batches]})
    else:
        click.echo(f"{total} examples of {task}: {_outcome(connection, batches, until)}")


def _check(task: str) -> None:
    try:
        checked_name(task)
    except ValueError as error:
        raise click.UsageError(f"the task's name cannot be used: {error}") from error


def _count(file: Path) -> int:
    """How many examples the file holds, every line checked. Raises ClickException."""
    try:
        return sum(1 for _ in read_examples(file))
    except ExamplesFileError as error:
        raise click.ClickException(str(error)) from error


def _send(
    connection: Connection,
    task: str,
    file: Path,
    total: int,
    size: int,
    progress: LearningProgress,
) -> list[Batch]:
    batches: list[Batch] = []
    with connection.client() as client:
        for part in in_parts(read_examples(file), size):
            try:
                batches.append(client.learn(task, part))
            except PerennialError as error:
                sent = f"{len(batches) * size} of {total} examples"
                kept = f" ({sent} had been sent before; the server keeps those)" if batches else ""
                raise click.ClickException(one_line(error) + kept) from error
            progress.sent(len(part))
    return batches


def _wait(
    connection: Connection,
    batches: Sequence[Batch],
    until: Until,
    timeout: float,
    progress: LearningProgress,
) -> list[Batch]:
    with clear_errors():
        return asyncio.run(follow(connection.async_client(), batches, until, timeout, progress))


def _outcome(connection: Connection, batches: Sequence[Batch], until: str) -> str:
    """What became of the examples, in words."""
    last = batches[-1]
    refused = [one.version for one in batches if one.gate_refused]
    if refused:
        return (
            f"labels usable{_since(connection, batches)}; the new prompt was not better on "
            f"held-out examples and does not serve (perennial versions {refused[-1]})"
        )
    if last.version is None:
        return last.status
    if until == "refreshed":
        return f"usable since version {last.version}"
    return f"{last.status} in version {last.version}"


def _since(connection: Connection, batches: Sequence[Batch]) -> str:
    """The version that first knew all batches, where the newest page of the history names it."""
    sent = {one.batch for one in batches}
    with connection.client() as client:
        page = client.versions()
    knew = next((one for one in page.versions if sent & set(one.batches)), None)
    return f" since version {knew.version}" if knew else ""
