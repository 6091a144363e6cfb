"""`perennial versions`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_table


@click.command()
@connected
def versions(connection: Connection) -> None:
    """List versions, newest as the server orders them, and mark the live one."""
    with connection.client() as client:
        history = client.versions()
    if connection.json:
        print_json(history)
        return
    rows = [
        ("live" if one.version == history.live else "", one.version, one.kind, one.created_at)
        for one in history.versions
    ]
    print_table(("", "version", "kind", "created"), rows)
