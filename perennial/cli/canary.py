"""`perennial canary`"""

from __future__ import annotations

import click

from perennial.cli.connection import Connection, connected
from perennial.cli.output import print_json, print_table
from perennial.client import CanaryState, Comparison


@click.group()
def canary() -> None:
    """Try a version on a share of the unpinned requests, beside the live one."""


@canary.command()
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "--percent",
    type=click.FloatRange(min=0, max=100, min_open=True),
    required=True,
    help="Share of the unpinned requests.",
)
@click.option(
    "--false-alarms",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    help="Chance that feedback ends a canary that is no worse.",
)
@click.option(
    "--latency-ratio",
    type=click.FloatRange(min=1, min_open=True),
    help="End it where its median request takes so many times as long as live's.",
)
@click.option("--errors", type=click.IntRange(min=1), help="End it after so many failed requests.")
@connected
def start(connection: Connection, version: int, percent: float, **rules: float | None) -> None:
    """Give VERSION a share, or change it. Replicas end it by themselves where they see harm."""
    given = {name: value for name, value in rules.items() if value is not None}
    with connection.client() as client:
        _show(connection, client.start_canary(version, percent, **given))


@canary.command()
@connected
def status(connection: Connection) -> None:
    """Say how it does, as the replica that answers sees it, or how the last one ended."""
    with connection.client() as client:
        _show(connection, client.canary())


@canary.command()
@connected
def stop(connection: Connection) -> None:
    """Let the live version answer all requests again."""
    with connection.client() as client:
        _show(connection, client.stop_canary())


@canary.command()
@connected
def promote(connection: Connection) -> None:
    """Make the canary's content live, for all requests."""
    with connection.client() as client:
        under_way = client.canary().canary
        if under_way is None:
            raise click.ClickException(
                "no canary is under way; to make a version live: perennial promote VERSION"
            )
        made = client.promote(under_way.version)
    if connection.json:
        print_json(made)
    else:
        click.echo(
            f"version {made.version} is live, with the content of version {under_way.version}"
        )


def _show(connection: Connection, state: CanaryState) -> None:
    if connection.json:
        print_json(state)
        return
    if state.canary is None:
        click.echo("no canary is under way")
    else:
        share = f"{state.canary.percent:g} % of unpinned requests"
        click.echo(f"version {state.canary.version} gets {share}")
    if state.comparison is not None:
        _show_comparison(state.comparison)
    if state.ended is not None and state.canary is None:
        of = "" if state.ended.version is None else f" (version {state.ended.version})"
        click.echo(f"the last one{of} ended at {state.ended.at:%Y-%m-%d %H:%M:%S} UTC:")
        click.echo(f"  {state.ended.reason}")


def _show_comparison(seen: Comparison) -> None:
    told = sum(seen.feedback.values())
    rows = [
        (
            arm,
            seen.requests.get(arm),
            seen.median_seconds.get(arm),
            (seen.feedback.get("both", 0) + seen.feedback.get(arm, 0)) / told if told else None,
        )
        for arm in ("canary", "live")
    ]
    print_table(("", "requests", "median s", f"right of {told} told"), rows)
    agreement = "" if seen.agreement is None else f", {100 * seen.agreement:.1f} % alike"
    click.echo(f"inputs that both answered: {seen.compared}{agreement}; errors: {seen.errors}")
