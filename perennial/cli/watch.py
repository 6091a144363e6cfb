"""`perennial watch`"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import click
from rich.console import Console
from rich.text import Text

from perennial.cli.connection import Connection, connected
from perennial.cli.event_line import event_line
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
        events = islice(client.events(), count)
        if connection.json:
            for event in events:
                print_json({"event": event.name, **event.data})
        else:
            _show(events)


def _show(events: Iterable[Event]) -> None:
    """A line each; on a terminal, progress stands below them and changes in its place."""
    console = Console(markup=False, highlight=False)
    with console.status("listening") as status:
        for event in events:
            if console.is_terminal and event.name == "progress":
                status.update(Text(event_line(event)))
            else:
                console.print(event_line(event), soft_wrap=True)
