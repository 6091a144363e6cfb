"""`--runtime`, as every benchmark of serving takes it."""

from __future__ import annotations

from typing import get_args

import click

from backbones.engines import Runtime

runtime_option = click.option(
    "--runtime",
    type=click.Choice(get_args(Runtime)),
    default="auto",
    show_default=True,
    help="As of `serve`.",
)
