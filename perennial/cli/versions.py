"""`perennial versions`"""

from __future__ import annotations

import click

from perennial.cli.answered_before import answered_before
from perennial.cli.connection import Connection, connected
from perennial.cli.gate_report import gate_lines
from perennial.cli.output import print_json, print_members, print_table
from perennial.client import Version, Versions

_COLUMNS = ("", "version", "kind", "created (UTC)", "learnt", "decided", "prequential")


_SHOW = "show"


class _ShowsByDefault(click.Group):
    """Without the name of a command it lists versions, or shows the one whose number is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [_SHOW, *args])


@click.group(cls=_ShowsByDefault)
def versions() -> None:
    """List versions, show one in full, or pin one.

    perennial versions is short for perennial versions show.
    """


@versions.command(_SHOW)
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option("--limit", type=click.IntRange(min=1), help="List so many at most.")
@click.option("--before", type=click.IntRange(min=1), help="List those below this number.")
@click.option("--all", "fences", is_flag=True, help="List the learner's fences too.")
@connected
def show(
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


@versions.command()
@click.argument("number", type=click.IntRange(min=1))
@connected
def pin(connection: Connection, number: int) -> None:
    """Keep version NUMBER however many newer ones there are.

    Only forgetting ends that: a version that holds what was forgotten goes all the same.
    """
    with connection.client() as client:
        found = client.pin(number)
    if connection.json:
        print_json(found)
    else:
        click.echo(f"version {number} is pinned")


@versions.command()
@click.argument("number", type=click.IntRange(min=1))
@connected
def unpin(connection: Connection, number: int) -> None:
    """Let version NUMBER go when its turn comes."""
    with connection.client() as client:
        found = client.unpin(number)
    if connection.json:
        print_json(found)
    else:
        click.echo(f"version {number} is not pinned")


def _show_one(version: Version) -> None:
    print_members(version, without={"gate"})
    for line in gate_lines(version.gate) if version.gate else ():
        click.echo(line)


def _show(page: Versions, fences: bool) -> None:
    rows = [
        (
            _marks(one, page.live),
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


def _marks(version: Version, live: int | None) -> str:
    marks = {"live": version.version == live, "pinned": version.pinned}
    return ", ".join(name for name, holds in marks.items() if holds)
