"""`perennial tasks`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_table
from perennial.client import Task


@click.command()
@connected
def tasks(connection: Connection) -> None:
    """List the tasks the server knows."""
    with connection.client() as client:
        known = client.tasks()
    if connection.json:
        print_json(known)
    else:
        print_table(("task", "labels", "examples", "own prompt"), [_row(one) for one in known])


def _row(task: Task) -> tuple[object, ...]:
    own = None if task.own_prompt is None else "yes" if task.own_prompt else "no"
    return (task.task, len(task.labels), task.examples, own)
