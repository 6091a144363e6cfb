"""`perennial store gc`"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click
from rich.filesize import decimal

from learner.references import NAMING, references
from perennial.cli.output import print_json, print_table
from perennial.cli.store.place import clear_errors, existing_place, json_option, store_option
from perennial.cli.store.progress import store_progress
from prompt_store import (
    Forgotten,
    Retention,
    RetentionConfig,
    Round,
    Store,
    forgotten_reports,
)
from prompt_store.log import GRACE
from prompt_store.references import Progress

_DEFAULT = RetentionConfig()


@dataclass(frozen=True)
class Cleaned:
    """What was done, or would be, and every report on what was forgotten."""

    done: Round
    forgotten: list[Forgotten]


@click.command(short_help="Drop old versions, and delete what nothing needs.")
@store_option
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    envvar="PERENNIAL_RETENTION__VERSIONS",
    show_envvar=True,
    default=_DEFAULT.versions,
    show_default=True,
    help="Newest versions to keep, as its server is set to; pinned ones stay besides.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=GRACE),
    envvar="PERENNIAL_RETENTION__GRACE_SECONDS",
    show_envvar=True,
    default=_DEFAULT.grace_seconds,
    show_default=True,
    help="Seconds: nothing younger is deleted.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def gc(url: str, keep: int, grace: float, dry_run: bool, as_json: bool) -> None:
    """Drop old versions, and delete blobs that nothing needs; a server may go on using the store.

    Blobs go in two steps: a run condemns those that nothing names, and one that comes a grace
    period later deletes them, if still nothing does. A server's learner does the same by itself.
    """
    config = RetentionConfig(versions=keep, grace_seconds=grace)
    with clear_errors(), store_progress("cleaning", shown=not as_json) as progress:
        store = Store.existing(existing_place(url))
        retention = Retention(store, references, NAMING, config)
        done = retention.preview() if dry_run else _until_done(retention, progress)
        found = Cleaned(done, forgotten_reports(store.backend))
    if as_json:
        print_json(found)
    else:
        print_table(("what", "number", "which"), _rows(found, dry_run=dry_run))


def _until_done(retention: Retention, progress: Progress) -> Round:
    done = retention.run(progress=progress)
    total = done
    while done.more:
        done = retention.run(progress=progress)
        total = total.and_then(done)
    return total


def _rows(found: Cleaned, *, dry_run: bool) -> Iterator[tuple[object, ...]]:
    done, would = found.done, "would be " if dry_run else ""
    yield f"versions {would}dropped", len(done.dropped), _ranges(done.dropped)
    for forget, versions in done.forgetting.items():
        yield f"… as version {forget} forgot", len(versions), _ranges(versions)
    if dry_run:
        yield "blobs nothing would name", done.condemned, decimal(done.condemned_bytes)
    else:
        yield "blobs condemned", done.condemned, decimal(done.condemned_bytes)
        due = "" if done.due_at is None else f"from {done.due_at:%Y-%m-%d %H:%M:%S} UTC on"
        yield "blobs waiting", done.waiting, due
        yield "blobs deleted", done.erased, decimal(done.erased_bytes)
    for report in found.forgotten:
        yield f"forgotten by version {report.forget}", report.blobs, _told(report)


def _told(report: Forgotten) -> str:
    size = decimal(report.bytes)
    if report.erased_at is None:
        return f"{size}, being erased since {report.planned_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{size}, erased by {report.erased_at:%Y-%m-%d %H:%M:%S} UTC"


def _ranges(numbers: tuple[int, ...]) -> str:
    """For instance `1–4, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)
