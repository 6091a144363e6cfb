"""`perennial store`: what works on a store itself, whether a server uses it or not."""

from __future__ import annotations

import click

from perennial.cli.store.check import check
from perennial.cli.store.export import export
from perennial.cli.store.gc import gc
from perennial.cli.store.importing import import_
from perennial.cli.store.stats import stats


@click.group(commands=[check, stats, gc, export, import_])
def store() -> None:
    """Check, count, clean, export or import a store.

    No server is needed, and one may be running on it.
    """
