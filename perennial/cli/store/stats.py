"""`perennial store stats`"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click
from rich.filesize import decimal

from learner.references import references
from perennial.cli.output import print_json, print_table
from perennial.cli.store.place import clear_errors, existing_place, json_option, store_option
from perennial.cli.store.progress import store_progress
from prompt_store import Census, Store, take_census
from prompt_store.census import Size


@click.command(short_help="Count versions, batches and blobs.")
@store_option
@json_option
def stats(url: str, as_json: bool) -> None:
    """Count what a store holds: versions, tasks, batches, and blobs by kind.

    Every blob is read, as not every kind of store tells sizes.
    """
    with clear_errors(), store_progress("counting", shown=not as_json) as progress:
        found = take_census(Store.existing(existing_place(url)), references, progress)
    if as_json:
        print_json(found)
    else:
        print_table(("what", "value"), _rows(found))


def _rows(found: Census) -> Iterator[tuple[str, object]]:
    yield "versions kept", found.versions
    yield "versions pinned", found.pinned
    yield "live", found.live
    yield "oldest (UTC)", _time(found.oldest)
    yield "newest (UTC)", _time(found.newest)
    yield "tasks", found.tasks
    yield "classes", found.classes
    yield "batches pending", found.pending
    yield "batches learnt", found.learnt
    yield "batches failed", found.failed
    yield "keys", found.keys
    yield "keys revoked", found.keys_revoked
    for kind, size in found.blobs.items():
        yield f"blobs: {kind}", _size(size)
    yield "blobs: orphans", _size(found.orphans)
    yield "blobs: condemned", _size(found.condemned)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _size(size: Size) -> str:
    return f"{size.blobs} ({decimal(size.bytes)})"
