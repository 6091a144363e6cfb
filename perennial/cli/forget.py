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
    """Forget a task: from the next version on it is as if it had never been taught.

    If it ever trained a prompt, all prompts are dropped with it, because later ones carry traces of
    it; the frozen backbone serves until the next training. Older versions still hold the task:
    promoting one brings it back.
    """
    if not yes:
        click.confirm(f"Forget the task {task!r} and all its examples?", abort=True, err=True)
    with connection.client() as client:
        answer = client.forget(task)
    if connection.json:
        print_json(answer)
    else:
        click.echo(f"{answer.task}: {answer.status}")
