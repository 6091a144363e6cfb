"""`perennial bench crash`: its options."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("crash")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--backbone", default="minilm", show_default=True)
@click.option("--kills", type=click.IntRange(min=1), default=200, show_default=True)
@click.option(
    "--pause",
    type=click.FloatRange(min=0),
    default=6.0,
    show_default=True,
    help="Mean seconds between two kills; each is drawn from 0 to twice as long.",
)
@click.option("--seed", default=0, show_default=True, help="Of who is killed, and when.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("flags", nargs=-1, metavar="[-- FLAGS OF SERVE]")
def crash(
    engine: str,
    backbone: str,
    kills: int,
    pause: float,
    seed: int,
    json_path: Path | None,
    flags: tuple[str, ...],
) -> None:
    """Kill random processes of a server with -9 while it is taught and asked; account for all.

    Ctrl-C ends the killing; what was done until then is accounted for. Exits with 1 where a batch
    was lost or learnt twice, or the store is not sound.
    """
    from benchmarks.crash.report import markdown
    from benchmarks.crash.run import Plan, run_crash
    from benchmarks.json_file import write_json

    plan = Plan(engine, backbone, kills, pause, seed, flags)
    result = run_crash(plan, lambda text: click.echo(text, err=True))
    click.echo(markdown(result))
    write_json(json_path, result.as_json())
    if not result.holds:
        sys.exit(1)
