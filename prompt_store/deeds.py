"""What was done to a store, by whom and when: folded from its own records.

It goes back as far as they do. Batches and keys stay for ever, manifests as long as retention keeps
them. Records of programs that noted nobody have nobody here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from prompt_store.actor import Actor
from prompt_store.backends.base import contents
from prompt_store.batch import Batch, Settled
from prompt_store.erasures import ERASURES, Erasure
from prompt_store.errors import UnknownVersion
from prompt_store.intake import PENDING, SETTLED
from prompt_store.keys import KeyEntry
from prompt_store.manifest import Kind, Manifest
from prompt_store.pins import PINS, Pin
from prompt_store.records import decode
from prompt_store.store import Store


@dataclass(frozen=True)
class Deed:
    """One of them. No labels and no inputs.

    at, who, request: None where nobody noted it; what: `examples`, `feedback`, `forget`, `key
    create`, `key revoke`, `pin`, `canary end`, a manifest's kind, or what other rooms add; version:
    that it made, or that decided the batch; source: the version that was promoted, pinned or tried
    """

    at: datetime | None
    who: str | None
    what: str
    task: str | None = None
    batch: str | None = None
    examples: int | None = None
    version: int | None = None
    source: int | None = None
    key: str | None = None
    outcome: Literal["queued", "published", "failed"] | None = None
    request: str | None = None


def deeds_of(store: Store) -> Iterator[Deed]:
    """Yield them in no order. Every record is read, nothing written. Raises as reading does."""
    yield from map(_of_key, store.keys.entries())
    yield from _of_batches(store)
    for key, data in contents(store.backend, ERASURES):
        yield _of_erasure(decode(Erasure, data, key))
    for key, data in contents(store.backend, PINS):
        yield _of_pin(decode(Pin, data, key))
    for manifest in store.log.kept(store.timeline().head):
        if manifest.kind.goes_live or manifest.kind is Kind.CANARY or manifest.actor is not None:
            yield _of_manifest(store, manifest)


def _of_key(entry: KeyEntry) -> Deed:
    what = f"key {entry.what}"
    return Deed(entry.at, entry.actor.name, what, key=entry.name, request=entry.actor.request)


def _of_batches(store: Store) -> Iterator[Deed]:
    """Pending ones first: `settle` creates the other record before it deletes theirs."""
    pending = {}
    for key, data in contents(store.backend, PENDING):
        batch = decode(Batch, data, key)
        pending[batch.id] = _of_batch(batch)
    for key, data in contents(store.backend, SETTLED):
        settled = decode(Settled, data, key)
        pending.pop(settled.batch, None)
        yield _of_settled(settled)
    yield from pending.values()


def _of_batch(batch: Batch) -> Deed:
    return Deed(
        batch.received_at,
        _name(batch.actor),
        batch.via,
        task=batch.task,
        batch=batch.id,
        examples=len(batch.examples),
        outcome="queued",
        request=_request(batch.actor),
    )


def _of_settled(settled: Settled) -> Deed:
    return Deed(
        settled.received_at,
        _name(settled.actor),
        settled.via or "examples",
        task=settled.task,
        batch=settled.batch,
        examples=settled.examples,
        version=settled.version,
        outcome=settled.status,
        request=_request(settled.actor),
    )


def _of_erasure(erasure: Erasure) -> Deed:
    return Deed(
        erasure.asked_at,
        _name(erasure.actor),
        "forget",
        task=erasure.task,
        outcome="queued",
        request=_request(erasure.actor),
    )


def _of_pin(pin: Pin) -> Deed:
    who, request = _name(pin.actor), _request(pin.actor)
    return Deed(pin.pinned_at, who, "pin", source=pin.version, request=request)


def _of_manifest(store: Store, manifest: Manifest) -> Deed:
    canary = manifest.canary
    ended = canary is not None and not canary.percent
    own = f"learner:{manifest.writer}" if manifest.kind.needs_the_epoch else manifest.writer
    return Deed(
        manifest.created_at,
        _name(manifest.actor) or own,
        "canary end" if ended else manifest.kind.value,
        task=_forgotten(store, manifest) if manifest.kind is Kind.FORGET else None,
        version=manifest.version,
        source=manifest.source if canary is None else canary.version,
        request=_request(manifest.actor),
    )


def _forgotten(store: Store, manifest: Manifest) -> str | None:
    """The task that its parent knew and it does not, as far as the parent is kept."""
    try:
        before = set() if manifest.parent is None else set(store.manifest(manifest.parent).tasks)
    except UnknownVersion:
        return None
    return next(iter(before - set(manifest.tasks)), None)


def _name(actor: Actor | None) -> str | None:
    return None if actor is None else actor.name


def _request(actor: Actor | None) -> str | None:
    return None if actor is None else actor.request
