"""`perennial bench race`: its options."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("race")
@click.option(
    "--store", help="Folder or bucket URL below which stores are made. Default: a passing folder."
)
@click.option(
    "--learners",
    "counts",
    type=click.IntRange(min=1),
    multiple=True,
    default=(2, 5),
    show_default=True,
    help="Processes that race; may be repeated.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=600.0,
    show_default=True,
    help="Of each race.",
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def race(
    store: str | None, counts: tuple[int, ...], seconds: float, json_path: Path | None
) -> None:
    """Let several learners fight for one store while it is taught; check that it has one history.

    Exits with 1 where a batch was lost or learnt twice, or the store is not sound.
    """
    from benchmarks.json_file import write_json
    from benchmarks.race.report import markdown
    from benchmarks.race.run import run_races

    results = run_races(store, counts, seconds, lambda text: click.echo(text, err=True))
    click.echo(markdown(results))
    write_json(json_path, {"races": [one.as_json() for one in results]})
    if not all(one.holds for one in results):
        sys.exit(1)
