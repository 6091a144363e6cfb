"""`perennial promote`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json
from perennial.client import Client, Task


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@connected
def promote(connection: Connection, version: int) -> None:
    """Make a kept version live again: a rollback, or a candidate the gate refused.

    The content comes back under a new number; history is not rewritten.
    """
    with connection.client() as client:
        if connection.json:
            print_json(client.promote(version))
            return
        live, before = client.versions(limit=1).live, client.tasks()
        made = client.promote(version)
        click.echo(f"version {made.version} is live, with the content of version {version}")
        _tell_what_is_gone(client, live, before)


def _tell_what_is_gone(client: Client, live: int | None, before: tuple[Task, ...]) -> None:
    known = {one for task in client.tasks() for one in _classes(task)}
    gone = [one for task in before for one in _classes(task) if one not in known]
    if gone:
        click.echo(f"no longer known: {', '.join(gone)} (promote {live} to have them back)")


def _classes(task: Task) -> list[str]:
    return [f"{task.task}/{label}" for label in task.labels]
