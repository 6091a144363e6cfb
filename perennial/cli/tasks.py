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
        columns = ("task", "labels", "examples", "domain", "prompt")
        print_table(columns, [_row(one) for one in known])


def _row(task: Task) -> tuple[object, ...]:
    return (task.task, len(task.labels), task.examples, task.domain, task.prompt)
