"""`perennial audit`: who did what to a store, and when. No server is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from perennial.cli.output import print_json, print_table
from perennial.cli.store.place import clear_errors, existing_place, json_option, store_option
from prompt_store import Deed, Store, deeds_of
from serving.declarations import history

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@click.command(short_help="Show who changed what, and when, without a server.")
@store_option
@json_option
def audit(url: str, as_json: bool) -> None:
    """Show who did what to a store, oldest first: examples, declarations, versions, keys.

    Out of the store's own records, as far back as they go. With --json, a line for each.
    """
    with clear_errors():
        store = Store.existing(existing_place(url))
        deeds = [*deeds_of(store), *_declared(store)]
    deeds.sort(key=lambda deed: deed.at or _LONG_AGO)
    if as_json:
        for deed in deeds:
            print_json(deed)
    else:
        print_table(("when (UTC)", "who", "what", "about", "outcome", "request"), map(_row, deeds))


def _declared(store: Store) -> Iterator[Deed]:
    for one in history(store.backend):
        what = "withdraw" if one.withdrawn else "declare"
        actor = one.actor
        who, request = (None, None) if actor is None else (actor.name, actor.request)
        yield Deed(one.declared_at, who, what, task=one.task, request=request)


def _row(deed: Deed) -> tuple[object, ...]:
    when = None if deed.at is None else f"{deed.at:%Y-%m-%d %H:%M:%S}"
    return when, deed.who, deed.what, _about(deed), _outcome(deed), deed.request


def _about(deed: Deed) -> str | None:
    told = (
        None if deed.task is None else f"task {deed.task}",
        None if deed.examples is None else f"{deed.examples} examples",
        None if deed.source is None else f"version {deed.source}",
        None if deed.key is None else f"key {deed.key}",
    )
    return ", ".join(one for one in told if one is not None) or None


def _outcome(deed: Deed) -> str | None:
    version = None if deed.version is None else f"version {deed.version}"
    return ": ".join(one for one in (deed.outcome, version) if one is not None) or None
