"""`perennial promote`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@connected
def promote(connection: Connection, version: int) -> None:
    """Make a kept version live again: a rollback, or a candidate the gate refused.

    The content comes back under a new number; history is not rewritten.
    """
    with connection.client() as client:
        made = client.promote(version)
    if connection.json:
        print_json(made)
    else:
        click.echo(f"version {made.version} is live, with the content of version {version}")
