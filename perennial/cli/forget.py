"""`perennial forget`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json


@click.command()
@click.argument("task")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def forget(connection: Connection, task: str, yes: bool) -> None:
    """Forget a task: its classes at once, its traces in prompts by retraining."""
    if not yes:
        click.confirm(f"Forget the task {task!r} and all its examples?", abort=True, err=True)
    with connection.client() as client:
        answer = client.forget(task)
    if connection.json:
        print_json(answer)
    else:
        click.echo(f"{answer.task}: {answer.status}")
