"""`perennial versions`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_members, print_table
from perennial.client import Version, Versions


@click.command()
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option("--limit", type=click.IntRange(min=1), help="List so many at most.")
@click.option("--before", type=click.IntRange(min=1), help="List those below this number.")
@connected
def versions(
    connection: Connection, number: int | None, limit: int | None, before: int | None
) -> None:
    """List versions, newest first, and which one is live; or show version NUMBER in full."""
    with connection.client() as client:
        found = client.versions(limit, before) if number is None else client.version(number)
    if connection.json:
        print_json(found)
    elif isinstance(found, Version):
        print_members(found)
    else:
        _show(found)


def _show(page: Versions) -> None:
    rows = [
        (
            "live" if one.version == page.live else "",
            one.version,
            one.kind,
            f"{one.created_at:%Y-%m-%d %H:%M:%S}" if one.created_at else None,
            len(one.batches),
            len(one.decided),
        )
        for one in page.versions
    ]
    print_table(("", "version", "kind", "created (UTC)", "learnt", "decided"), rows)
    if page.before is not None:
        click.echo(f"more: perennial versions --before {page.before}", err=True)
