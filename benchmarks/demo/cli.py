"""`perennial bench demo`: learning to read digits, offline, on a fresh machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benchmarks.demo.options import Options


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Options.out,
    show_default=True,
    help="Folder for the images, the toy ViT and the picture.",
)
@click.option(
    "--backbone",
    help="A timm name, a Hub id, a folder, or `small`: a toy ViT, made here in about a minute. "
    "Default: ../shared/data/vit_tiny_patch16_224 where that is a folder, else small.",
)
@click.option(
    "--image-size", type=click.IntRange(min=16), help="Pixels of a side. Default: what suits."
)
@click.option("--seed", type=click.IntRange(min=0), default=Options.seed, show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=Options.steps,
    show_default=True,
    help="Pre-training steps of the toy ViT.",
)
@click.option(
    "--shots",
    type=click.IntRange(1, 100),
    default=Options.shots,
    show_default=True,
    help="Images a digit to learn.",
)
@click.option(
    "--tests",
    type=click.IntRange(1, 70),
    default=Options.tests,
    show_default=True,
    help="Images a digit to be asked about.",
)
def demo(**asked: Any) -> None:
    """Teach a server handwritten digits, two a task, and draw what it makes of new ones.

    Needs no network: the images come with scikit-learn.
    """
    from benchmarks.demo.needs import NotInstalled, check_installed

    try:
        check_installed()
    except NotInstalled as error:
        raise click.ClickException(str(error)) from error
    _run(Options(**asked))


def _run(options: Options) -> None:
    """Raises ClickException where it cannot."""
    from backbones import BackboneError
    from benchmarks.demo.digits import OtherFiles
    from benchmarks.demo.run import run
    from benchmarks.running_server import NotStarted
    from perennial.client import PerennialError

    try:
        run(options)
    except (OtherFiles, BackboneError, NotStarted, PerennialError) as error:
        raise click.ClickException(str(error)) from error
