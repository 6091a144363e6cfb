"""What must hold of a store whatever happened to its writers."""

import time
from collections.abc import Callable
from functools import reduce

from prompt_store import Backend, Fault, Manifest, Store, Timeline, audit_store, fold
from prompt_store.audit.batches import REPEATED
from prompt_store.intake import SETTLED
from prompt_store.log import FLOORS
from prompt_store.records import decode


def history(backend: Backend) -> list[Manifest]:
    """Every manifest, read straight from the keys."""
    keys = backend.list_after("log/")
    return [decode(Manifest, backend.read(key), key) for key in keys]


def assert_sound(backend: Backend, clock: Callable[[], float] = time.time) -> Store:
    """Open the store afresh and check its invariants; return it."""
    store = Store.on(backend, clock=clock)
    assert [fault for fault in audit_store(backend, no_images).faults if not disagrees(fault)] == []
    if not list(backend.list_after(FLOORS)):  # else the audit has compared what is left
        assert store.timeline() == reduce(fold, history(backend), Timeline())
    for batch in store.intake.pending():
        assert store.intake.read(batch).id == batch
        assert store.intake.outcome(batch) is None
    return store


def disagrees(fault: Fault) -> bool:
    """Log and intake, of which some of these tests write one without the other."""
    return fault.where.startswith(SETTLED) or fault.remedy == REPEATED


def no_images(role: str, data: bytes) -> tuple[()]:
    """What the blobs of these tests name: they are any bytes."""
    return ()
