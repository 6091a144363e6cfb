"""`perennial learn`"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from perennial.cli.connection import Connection, clear_errors, connected
from perennial.cli.examples_file import ExamplesFileError, read_examples
from perennial.cli.following import follow
from perennial.cli.output import print_json
from perennial.cli.parts import in_parts
from perennial.cli.progress import LearningProgress
from perennial.client import Batch
from perennial.client.waiting import Until

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

    The whole file is checked before anything is sent.
    """
    total = _count(file)
    with LearningProgress(task, total, shown=not connection.json) as progress:
        batches = _send(connection, task, file, batch_size, progress)
        if until != "none":
            batches = _wait(connection, batches, until, timeout, progress)
    if connection.json:
        print_json({"batches": [one.model_dump(mode="json") for one in batches]})
    else:
        click.echo(_summary(task, total, batches))


def _count(file: Path) -> int:
    """How many examples the file holds, every line checked. Raises ClickException."""
    try:
        return sum(1 for _ in read_examples(file))
    except ExamplesFileError as error:
        raise click.ClickException(str(error)) from error


def _send(
    connection: Connection, task: str, file: Path, size: int, progress: LearningProgress
) -> list[Batch]:
    batches = []
    with connection.client() as client:
        for part in in_parts(read_examples(file), size):
            batches.append(client.learn(task, part))
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


def _summary(task: str, total: int, batches: Sequence[Batch]) -> str:
    last = batches[-1]
    learnt = f"{total} examples of {task}: {last.status}"
    if last.version is not None:
        learnt += f" in version {last.version}"
    if any(one.gate_refused for one in batches):
        learnt += "; the gate kept new prompts from going live (see `perennial versions`)"
    return learnt
