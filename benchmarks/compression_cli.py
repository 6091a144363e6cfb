"""`perennial bench eviction` and `perennial bench consolidation`: several prompts in fewer rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _options(command: Command) -> Command:
    """What both commands take."""
    for option in (
        click.option(
            "--prompts",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder where trained prompts are kept, and found by the next run.",
        ),
        click.option(
            "--json",
            "json_path",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Rows are written here one by one; an interrupted run goes on where it was.",
        ),
        click.option("--seeds", default=3, show_default=True, help="Seeds 0, 1, … to run."),
        click.option(
            "--data",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            required=True,
            help="The folder above olora_cl_benchmark and lfpt5_classification.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@_options
def eviction(data: Path, seeds: int, json_path: Path | None, prompts: Path | None) -> None:
    """Seven tasks' prompts in fewer rows, by every eviction rule."""
    from benchmarks.eviction import markdown, run

    rows = run(range(seeds), data, json_path=json_path, prompts=prompts, say=_say)
    click.echo(markdown(rows))


@click.command()
@_options
def consolidation(data: Path, seeds: int, json_path: Path | None, prompts: Path | None) -> None:
    """Seven tasks' prompts distilled into one."""
    from benchmarks.consolidation import markdown, run

    rows = run(range(seeds), data, json_path=json_path, prompts=prompts, say=_say)
    click.echo(markdown(rows))


def _say(text: str) -> None:
    click.echo(text, err=True)
