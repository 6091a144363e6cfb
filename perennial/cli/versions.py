"""`perennial versions`"""

from __future__ import annotations

import click

from perennial.cli.answered_before import answered_before
from perennial.cli.connection import Connection, connected
from perennial.cli.gate_report import gate_lines
from perennial.cli.output import print_json, print_members, print_table
from perennial.client import Version, Versions

_COLUMNS = ("", "version", "kind", "created (UTC)", "learnt", "decided", "prequential")


@click.command()
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option("--limit", type=click.IntRange(min=1), help="List so many at most.")
@click.option("--before", type=click.IntRange(min=1), help="List those below this number.")
@click.option("--all", "fences", is_flag=True, help="List the learner's fences too.")
@connected
def versions(
    connection: Connection,
    number: int | None,
    limit: int | None,
    before: int | None,
    fences: bool,
) -> None:
    """List versions, newest first, and which one is live; or show version NUMBER in full.

    A fence is a mark without content that a learner leaves when it starts.
    """
    with connection.client() as client:
        found = client.versions(limit, before) if number is None else client.version(number)
    if connection.json:
        print_json(found)
    elif isinstance(found, Version):
        _show_one(found)
    else:
        _show(found, fences)


def _show_one(version: Version) -> None:
    print_members(version, without={"gate"})
    for line in gate_lines(version.gate) if version.gate else ():
        click.echo(line)


def _show(page: Versions, fences: bool) -> None:
    rows = [
        (
            "live" if one.version == page.live else "",
            one.version,
            one.kind,
            f"{one.created_at:%Y-%m-%d %H:%M:%S}" if one.created_at else None,
            len(one.batches),
            len(one.decided),
            answered_before(one.prequential.values()),
        )
        for one in page.versions
        if fences or one.kind != "fence"
    ]
    print_table(_COLUMNS, rows)
    if page.before is not None:
        click.echo(f"more: perennial versions --before {page.before}", err=True)
