"""`perennial bench peers`: the same streams through other systems that learn new classes."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.peers.cache_option import cache_option
from benchmarks.peers.peer import PEERS


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the data set (one *.json.gz with train and test rows).",
)
@click.option("--tasks", default=10, show_default=True, help="Tasks the classes are dealt into.")
@click.option("--shots", default=16, show_default=True, help="Training examples a class.")
@click.option("--seeds", default=1, show_default=True, help="Seeds 0, 1, … to run.")
@click.option(
    "--peer",
    "names",
    multiple=True,
    type=click.Choice(list(PEERS)),
    default=tuple(PEERS),
    show_default=True,
    help="May be repeated.",
)
@click.option(
    "--backbone", default="minilm", show_default=True, help="A sentence encoder all can load."
)
@cache_option
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the rows here.",
)
def peers(
    data: Path,
    tasks: int,
    shots: int,
    seeds: int,
    names: tuple[str, ...],
    backbone: str,
    cache: Path,
    json_path: Path | None,
) -> None:
    """Learn a stream with Perennial and with other systems, and print one table."""
    from benchmarks.peers.report import run_all

    run_all(
        data=data,
        tasks=tasks,
        shots=shots,
        seeds=range(seeds),
        peers=[PEERS[name] for name in names],
        backbone=backbone,
        cache=cache,
        json_path=json_path,
    )
