"""`perennial forget`"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TextIO

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json
from perennial.client import Client, Erasure, Forgetting

_PAUSE = 0.2  # seconds between two looks


@click.command()
@click.argument("task")
@click.option("--label", help="Forget only this class of it.")
@click.option("--ids", metavar="ID,ID", help="Forget only the examples with these ids.")
@click.option("--ids-file", metavar="FILE", type=click.File(), help="The same, an id a line.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True,
    help="Seconds to wait until it is forgotten.",
)  # fmt: skip
@connected
def forget(
    connection: Connection,
    task: str,
    label: str | None,
    ids: str | None,
    ids_file: TextIO | None,
    yes: bool,
    timeout: float,
) -> None:
    """Forget TASK, a class or some examples of it: from the next version on it is as if that had
    never been taught.

    If the task ever trained a prompt, prompts are dropped with it, because later ones carry traces
    of it; the frozen backbone serves until the next training. Older versions still hold what they
    held, until the store deletes them: promoting one brings it back.
    """
    if sum(one is not None for one in (label, ids, ids_file)) > 1:
        raise click.UsageError("Say one of --label, --ids and --ids-file.")
    named = None if ids is None and ids_file is None else list(_named(ids, ids_file))
    if named == []:
        raise click.UsageError("There is no id in what was given.")
    if not yes:
        click.confirm(_question(task, label, named), abort=True, err=True)
    with connection.client() as client:
        asked = client.forget(task, label=label, ids=named)
        report = _report(client, asked, timeout)
    if connection.json:
        print_json(report)
        return
    for line in _lines(asked, report):
        click.echo(line)


def _named(ids: str | None, file: TextIO | None) -> Iterator[str]:
    given = file if ids is None else ids.split(",")
    return (one.strip() for one in given or () if one.strip())


def _question(task: str, label: str | None, ids: list[str] | None) -> str:
    if ids is not None:
        return f"Forget {len(ids)} examples of the task {task!r}?"
    if label is not None:
        return f"Forget the class {label!r} of the task {task!r} and all its examples?"
    return f"Forget the task {task!r} and all its examples?"


def _report(client: Client, asked: Forgetting, timeout: float) -> Erasure:
    """As it is when it is done, or time is up."""
    deadline = time.monotonic() + timeout
    while (report := client.erasure(asked)).status == "forgetting":
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE)
    return report


def _lines(asked: Forgetting, report: Erasure) -> Iterator[str]:
    if report.status == "forgetting":
        yield f"{asked.task}: forgetting (GET /v1/erasures/{asked.erasure} says what came of it)"
        return
    yield (
        f"{asked.task}: forgotten in version {report.version}: {report.examples} examples, "
        f"{report.classes} classes, {report.prompts_dropped} prompts"
    )
    if report.not_found:
        yield f"ids of which no example was kept any more: {report.not_found}"
    if report.exact is False:
        yield "not exactly: without kept examples, the spread that classes share stays"
    if report.older_versions:
        ranges = ", ".join(f"{one.first} to {one.last}" for one in report.older_versions)
        since = report.deletable_from and report.deletable_from.isoformat(" ", "minutes")
        yield f"versions {ranges} hold what they held; they may be deleted from {since} on"
