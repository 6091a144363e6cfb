"""`perennial keys`: who may call the servers on a store. No server is needed."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import click
from pydantic import ValidationError

from perennial.cli.output import print_json, print_table
from perennial.cli.store.place import (
    clear_errors,
    existing_place,
    json_option,
    new_place,
    store_option,
)
from prompt_store import Actor, KeyTerms, NotFound, Store, StoredKey, digest_of, new_key
from serving.settings import Key, Scope


@click.group()
def keys() -> None:
    """Create, list and revoke keys, in the store itself.

    Servers on the store follow within their poll. Once a store has had a key, they demand one.
    """


@keys.command(short_help="Make a key and print it, once.")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(get_args(Scope)),
    help="What it allows; admin includes learn, learn includes predict. May be repeated.",
)  # fmt: skip
@click.option("--rate", type=float, help="Inputs a second, on the average, to each replica.")
@click.option("--burst", type=int, help="Inputs at once after a quiet time.")
@click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="When it ends, UTC."
)
@store_option
@json_option
def create(
    name: str,
    scopes: Sequence[Scope],
    rate: float | None,
    burst: int | None,
    expires: datetime | None,
    url: str,
    as_json: bool,
) -> None:
    """Make a key for NAME and print it. It is shown this once: the store keeps its digest only.

    NAME is who holds it, and stands for this key for ever, also when it is revoked.
    """
    secret = new_key()
    terms = _terms(_checked(name, secret, scopes, rate, burst, expires))
    with clear_errors():
        store = Store.on(new_place(url))
        first = not store.keys.known()
        store.keys.create(name, terms, _me())
    if first:
        click.echo("The first key of this store: its servers demand one from now on.", err=True)
    if as_json:
        print_json({"name": name, "key": secret})
    else:
        click.echo(secret)


@keys.command("list", short_help="List all keys there ever were.")
@store_option
@json_option
def list_(url: str, as_json: bool) -> None:
    """List the keys of a store with what they allow; those in a server's settings are not here."""
    with clear_errors():
        known = Store.existing(existing_place(url)).keys.known().values()
    if as_json:
        print_json(list(known))
        return
    columns = ("name", "scopes", "inputs/s", "burst", "created (UTC)", "by", "state")
    print_table(columns, map(_row, known))


@keys.command(short_help="End a key for ever.")
@click.argument("name")
@store_option
def revoke(name: str, url: str) -> None:
    """End the key of NAME for ever. Servers refuse it within their poll."""
    with clear_errors():
        store = Store.existing(existing_place(url))
        try:
            fresh = store.keys.revoke(name, _me())
        except NotFound as error:
            raise click.ClickException(
                f"{error}: `perennial keys list` names them; one of a server's settings is "
                "removed there"
            ) from error
    click.echo(f"{name}: revoked" if fresh else f"{name}: was revoked before")


def _checked(
    name: str,
    secret: str,
    scopes: Sequence[Scope],
    rate: float | None,
    burst: int | None,
    expires: datetime | None,
) -> Key:
    """As a server will read it. Raises UsageError."""
    ends = None if expires is None else expires.replace(tzinfo=UTC)
    try:
        key = Key(
            name=name,
            sha256=digest_of(secret.encode()),
            scopes=frozenset(scopes),
            inputs_per_second=rate,
            burst=burst,
            expires_at=ends,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise click.UsageError(f"{first['loc'][0]} {first['input']!r}: {first['msg']}") from error
    if key.has_ended:
        raise click.UsageError(f"--expires {key.expires_at} is past: name a later time, in UTC")
    return key


def _terms(key: Key) -> KeyTerms:
    return KeyTerms(
        digest=key.sha256,
        scopes=tuple(sorted(key.scopes)),
        inputs_per_second=key.inputs_per_second,
        burst=key.burst,
        expires_at=key.expires_at,
    )


def _me() -> Actor:
    """Who runs this command; the colon keeps it apart from names of keys."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user often has no name
        user = "somebody"
    return Actor(name=f"cli:{user}@{socket.gethostname()}")


def _row(key: StoredKey) -> tuple[object, ...]:
    terms = key.terms
    scopes, made = ", ".join(terms.scopes), f"{key.created_at:%Y-%m-%d %H:%M:%S}"
    rate = None if terms.inputs_per_second is None else f"{terms.inputs_per_second:g}"
    return key.name, scopes, rate, terms.burst, made, key.created_by, _state(key)


def _state(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M:%S}"
    ends = key.terms.expires_at
    if ends is None:
        return "in force"
    return f"{'ended' if ends <= datetime.now(UTC) else 'until'} {ends:%Y-%m-%d %H:%M:%S}"
