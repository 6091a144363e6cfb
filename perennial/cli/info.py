"""`perennial info`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_members


@click.command()
@connected
def info(connection: Connection) -> None:
    """Say what the server is: backbone, engine, limits, trouble."""
    with connection.client() as client:
        answer = client.info()
    if connection.json:
        print_json(answer)
    else:
        print_members(answer)
