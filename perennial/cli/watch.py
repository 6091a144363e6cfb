"""`perennial watch`"""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json
from perennial.client import Event


@click.command()
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@connected
def watch(connection: Connection, count: int | None) -> None:
    """Follow progress, publishes and swaps, live. Ctrl-C ends it."""
    with connection.client() as client:
        if not connection.json:
            live = client.versions(limit=1).live
            named = "no live version yet" if live is None else f"live version {live}"
            click.echo(f"watching {connection.url}: {named}", err=True)
        for event in islice(client.events(), count):
            if connection.json:
                print_json({"event": event.name, **event.data})
            else:
                click.echo(_line(event))


def _line(event: Event) -> str:
    at = event.data.get("at")
    moment = datetime.fromtimestamp(at) if isinstance(at, int | float) else datetime.now()
    told = [
        f"{name}={round(value, 2) if isinstance(value, float) else value}"
        for name, value in event.data.items()
        if value not in (None, [], "") and name not in {"at", "kind"}
    ]
    if event.name == "candidate" and "version" in event.data:
        told.append(f"(perennial versions {event.data['version']})")
    return f"{moment:%H:%M:%S}  {event.name:<10} {'  '.join(told)}".rstrip()
