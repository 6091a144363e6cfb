"""`--cache`, as every benchmark beside other systems takes it."""

from __future__ import annotations

from pathlib import Path

import click

cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path.home() / ".cache" / "perennial" / "peers",
    show_default=True,
    help="Peers' environments (about 1.5 GB each) and finished runs; what is there is not done "
    "again.",
)
