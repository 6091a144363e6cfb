"""`perennial store import`"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from perennial.cli.output import print_json
from perennial.cli.store.place import BESIDE, clear_errors, json_option, new_place, store_option
from perennial.cli.store.progress import store_progress
from prompt_store import read_archive, restore
from prompt_store.references import Progress


@click.command("import", short_help="Make a new store of an archive.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@store_option
@json_option
def import_(file: Path, url: str, as_json: bool) -> None:
    """Make a new store of FILE, an archive of `perennial store export`.

    Refused where the store has any content. Everything is verified while it is read; an import
    that fails or is broken off leaves no store.
    """
    with clear_errors(), store_progress("importing", shown=not as_json) as progress:
        place = new_place(url)
        with file.open("rb") as archive:
            entries = _tracked(archive, file.stat().st_size, progress)
            timeline = restore(entries, place, BESIDE)
    if as_json:
        print_json({"store": url, "head": timeline.head, "live": timeline.live})
    else:
        live = "none" if timeline.live is None else f"version {timeline.live}"
        click.echo(f"{url}: {timeline.head} log entries, live: {live}")


def _tracked(archive: BinaryIO, size: int, progress: Progress) -> Iterator[tuple[str, bytes]]:
    for entry in read_archive(archive):
        progress(archive.tell(), size)
        yield entry
