"""`perennial store check`"""

from __future__ import annotations

import click

from learner.references import references
from perennial.cli.output import print_json
from perennial.cli.store.place import clear_errors, existing_place, json_option, store_option
from perennial.cli.store.progress import store_progress
from prompt_store import Audit, audit_store


@click.command(short_help="Verify every record, digest and reference.")
@store_option
@json_option
def check(url: str, as_json: bool) -> None:
    """Look at every record, digest and reference of a store; change nothing.

    A line for each fault: where, what, and what to do. Exit code 1 where there is one.
    """
    with clear_errors(), store_progress("checking", shown=not as_json) as progress:
        found = audit_store(existing_place(url), references, progress)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.faults:
        raise click.exceptions.Exit(1)


def _show(found: Audit) -> None:
    for fault in found.faults:
        click.echo(str(fault))
    if found.orphans:
        click.echo(f"orphans, which are no fault: {len(found.orphans)} blobs that nothing names")
    looked_at = f"{found.manifests} log entries, {found.batches} batches, {found.blobs} blobs"
    click.echo(f"{looked_at}; faults: {len(found.faults) or 'none'}")
