"""Accepted batches, durable before they are acknowledged.

    intake/pending/<id>.json    from `accept` until `settle`
    intake/settled/<id>.json    for ever after: the outcome and the body's digest

A batch is pending while it has the first and not the second. The contents of a settled batch live
on in the examples that its version names.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from prompt_store.backends.base import Backend
from prompt_store.batch import Batch, Outcome, Settled
from prompt_store.errors import AlreadyExists, BodyMismatch, NotFound
from prompt_store.fields import BATCH_ID
from prompt_store.records import decode, encode

PENDING = "intake/pending/"
SETTLED = "intake/settled/"
_SUFFIX = ".json"
_FILE = re.compile(BATCH_ID.removeprefix("^").removesuffix("$") + re.escape(_SUFFIX))
_ID = re.compile(BATCH_ID)


class Intake:
    """The folder `intake/`. Safe for threads and processes, and for death between any two steps."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def accept(self, batch: Batch) -> bool:
        """Store a batch; it is durable, or settled already, when this returns.

        True for at most one caller per batch. All others get False: it was here before, or a twin
        that raced with this call has already seen it settled.

        Raises:
            BodyMismatch: its id was accepted before, with another body.
        """
        while (settled := self._read_settled(batch.id)) is None:
            try:
                self._backend.create(pending_key(batch.id), encode(batch))
            except AlreadyExists:
                known = self._find_pending(batch.id)
                if known is None:
                    continue  # settled since we looked
                return _repeats(batch, known.body_digest)
            return self._stays(batch)
        return _repeats(batch, settled.body_digest)

    def pending(self) -> list[str]:
        """Return the ids that are accepted and not settled, sorted; one `exists` for each."""
        names = (key.removeprefix(PENDING) for key in self._backend.list_after(PENDING))
        ids = [name.removesuffix(_SUFFIX) for name in names if _FILE.fullmatch(name)]
        return [batch for batch in ids if self._is_open(batch)]

    def knows(self, batch_id: str) -> bool:
        """Whether a batch was ever accepted."""
        # In this order: `settle` creates the second before it deletes the first.
        return any(self._backend.exists(key(batch_id)) for key in (pending_key, settled_key))

    def read(self, batch_id: str) -> Batch:
        """Return a pending batch. Raises NotFound, also for a settled one."""
        batch = self._find_pending(batch_id)
        if batch is None or self._backend.exists(settled_key(batch_id)):
            raise NotFound(f"Batch {batch_id} is not pending; if settled, its version holds it")
        return batch

    def settle(self, outcome: Outcome) -> None:
        """Record how a batch ended. The first outcome stays; settling again changes nothing.

        Raises:
            NotFound: no such batch was ever accepted.
        """
        batch = self._find_pending(outcome.batch)
        if batch is None:
            if self._backend.exists(settled_key(outcome.batch)):
                return
            raise NotFound(f"Batch {outcome.batch} was never accepted")
        self._clear(_settled(batch, outcome))

    def outcome(self, batch_id: str) -> Outcome | None:
        """Return how a batch ended; None while it has not, or never was."""
        settled = self._read_settled(batch_id)
        return settled and Outcome(**settled.model_dump(include=set(Outcome.model_fields)))

    def settled_among(self, batches: Iterable[str]) -> tuple[str, ...]:
        """Return those of `batches` that are settled for good, in their order.

        At most two `exists` for each. While the pending record is there, the settled one may be a
        dead writer's that is not durable.
        """
        return tuple(batch for batch in batches if self._is_over(batch))

    def _is_over(self, batch_id: str) -> bool:
        exists = self._backend.exists
        return exists(settled_key(batch_id)) and not exists(pending_key(batch_id))

    def _stays(self, batch: Batch) -> bool:
        """Whether the pending record just created counts: a racing `settle` may have come first."""
        settled = self._read_settled(batch.id)
        if settled is None:
            return True
        self._clear(settled)
        return _repeats(batch, settled.body_digest)

    def _is_open(self, batch_id: str) -> bool:
        if not self._backend.exists(settled_key(batch_id)):
            return True
        settled = self._read_settled(batch_id)
        if settled is not None:
            self._clear(settled)  # who settled it died before this step
        return False

    def _clear(self, settled: Settled) -> None:
        """Delete the pending record; the settled one, perhaps a dead writer's, is durable first."""
        with suppress(AlreadyExists):
            self._backend.create(settled_key(settled.batch), encode(settled))
        self._backend.delete(pending_key(settled.batch))

    def _find_pending(self, batch_id: str) -> Batch | None:
        try:
            key = pending_key(batch_id)
            return decode(Batch, self._backend.read(key), key)
        except NotFound:
            return None

    def _read_settled(self, batch_id: str) -> Settled | None:
        try:
            key = settled_key(batch_id)
            return decode(Settled, self._backend.read(key), key)
        except NotFound:
            return None


def _settled(batch: Batch, outcome: Outcome) -> Settled:
    return Settled(
        **dict(outcome),
        body_digest=batch.body_digest,
        received_at=batch.received_at,
        examples=len(batch.examples),
        actor=batch.actor,
        via=batch.via,
    )


def pending_key(batch_id: str) -> str:
    return f"{PENDING}{_checked(batch_id)}{_SUFFIX}"


def settled_key(batch_id: str) -> str:
    return f"{SETTLED}{_checked(batch_id)}{_SUFFIX}"


def _checked(batch_id: str) -> str:
    if not _ID.fullmatch(batch_id):
        raise NotFound(f"{batch_id[:80]!r} is no batch: ids are made by `batch_id`")
    return batch_id


def _repeats(batch: Batch, known: str) -> Literal[False]:
    """Say that `batch` is not new. Raises BodyMismatch where only its id is the same."""
    if batch.body_digest == known:
        return False
    raise BodyMismatch(
        f"Batch {batch.id} was accepted with body {known}, not {batch.body_digest}: "
        "use a new idempotency key for a new body"
    )
