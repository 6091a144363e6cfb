"""`perennial store export`"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
from rich.filesize import decimal

from learner.references import references
from perennial.cli.output import print_json
from perennial.cli.store.place import (
    BESIDE,
    clear_errors,
    existing_place,
    json_option,
    store_option,
)
from perennial.cli.store.progress import store_progress
from prompt_store import Snapshot, Store, write_archive


@click.command(short_help="Write the store to a tar archive.")
@click.argument("file", type=click.Path(path_type=Path))
@store_option
@json_option
def export(file: Path, url: str, as_json: bool) -> None:
    """Write a store as it is now to FILE, a new tar archive; a server may go on writing to it.

    What no kept version and no batch needs is left out.
    """
    if file.exists():
        raise click.ClickException(f"{file} is there already: name a new file.")
    with clear_errors(), store_progress("exporting", shown=not as_json) as progress:
        store = Store.existing(existing_place(url))
        snapshot = Snapshot(store, references, BESIDE, progress)
        with _whole_or_absent(file) as archive:
            entries = write_archive(snapshot.entries(), archive)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "entries": entries, "bytes": size})
    else:
        click.echo(f"{file}: {entries} entries, {decimal(size)}")


@contextmanager
def _whole_or_absent(file: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once it is written and flushed."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        with unfinished.open("wb") as archive:
            yield archive
            archive.flush()
            os.fsync(archive.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
