"""`perennial info`"""

from __future__ import annotations

import json

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_table


@click.command()
@connected
def info(connection: Connection) -> None:
    """Say what the server is: backbone, engine, limits, fallbacks."""
    with connection.client() as client:
        answer = client.info()
    if connection.json:
        print_json(answer)
        return
    members = answer.model_dump(mode="json")
    print_table(("what", "value"), [(name, _readable(value)) for name, value in members.items()])


def _readable(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
