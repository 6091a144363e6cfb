"""`perennial learn`"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from uuid import uuid4

import click

from perennial.cli.connection import Connection, clear_errors, connected
from perennial.cli.examples_file import ExamplesFileError
from perennial.cli.examples_source import ExamplesSource, source_at
from perennial.cli.following import follow
from perennial.cli.image_files import ImageFileError
from perennial.cli.output import print_json
from perennial.cli.progress import LearningProgress
from perennial.cli.sending import Sending
from perennial.client import Batch
from perennial.client.waiting import Until
from serving.names import checked_name

EXAMPLES_PER_BATCH = 256
LONGEST_KEY = 240  # characters, so that the number of a call still fits into the API's 255


def _key(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    """What may stand in the header of each call."""
    if given is None:
        return None
    if not 0 < len(given) <= LONGEST_KEY or not all("!" <= one <= "~" for one in given):
        raise click.BadParameter(f"needs 1 to {LONGEST_KEY} printable ASCII characters, no blanks")
    return given


@click.command()
@click.argument("task")
@click.argument("source", metavar="FILE|FOLDER", type=click.Path(exists=True, path_type=Path))
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
    help="Examples per call, at most.",
)  # fmt: skip
@click.option(
    "--idempotency-key", metavar="KEY", callback=_key,
    help="Name of this run, to repeat it: what it sent before is not learnt twice.",
)  # fmt: skip
@connected
def learn(
    connection: Connection,
    task: str,
    source: Path,
    until: Literal["published", "refreshed", "none"],
    timeout: float,
    batch_size: int,
    idempotency_key: str | None,
) -> None:
    """Teach TASK from a FILE of texts or a FOLDER of images.

    FILE: CSV with the header `text,label`, or JSON lines with these members; a .json file of the
    form {"examples": [{"text", "label"}, …]} will do too. FOLDER: one sub-folder a class, named
    like it, with its PNG, JPEG or WebP files. All lines and files are looked at before anything is
    sent.
    """
    _check(task)
    examples = _checked(source)
    total = len(examples)
    sending = Sending(task, examples, idempotency_key or uuid4().hex)
    with LearningProgress(task, total, until, shown=not connection.json) as progress:
        batches = sending.run(connection, batch_size, progress)
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


def _checked(path: Path) -> ExamplesSource:
    """Raises ClickException that names the line or file that cannot be used."""
    try:
        return source_at(path)
    except (ExamplesFileError, ImageFileError) as error:
        raise click.ClickException(str(error)) from error


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
