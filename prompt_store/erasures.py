"""Requests to forget a task, durable before they are acknowledged.

    erasures/<id>.json    from `ask` until the learner has committed a `forget` that names the id

The log is the record of what was forgotten; a request is only a note to the learner.
"""

import logging
from datetime import UTC, datetime

from prompt_store.backends.base import Backend, contents
from prompt_store.batch_ids import batch_id
from prompt_store.errors import Corrupt, UnsupportedFormat
from prompt_store.fields import BatchId, Count, Moment, Task
from prompt_store.records import Record, decode, encode

logger = logging.getLogger(__name__)

ERASURES = "erasures/"
_SUFFIX = ".json"


class Erasure(Record):
    """One request. after: the head of the log when it was made; a `forget` for it comes later."""

    id: BatchId
    task: Task
    asked_at: Moment
    after: Count


class Erasures:
    """The folder `erasures/`. Safe for threads and processes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def ask(self, task: str, after: int) -> Erasure:
        """Note that a task is to be forgotten; durable when this returns."""
        erasure = Erasure(id=batch_id(), task=task, asked_at=datetime.now(UTC), after=after)
        self._backend.create(erasure_key(erasure.id), encode(erasure))
        return erasure

    def pending(self) -> list[Erasure]:
        """Return the requests not settled yet, oldest first."""
        found = []
        for key, data in contents(self._backend, ERASURES):
            try:
                found.append(decode(Erasure, data, key))
            except (Corrupt, UnsupportedFormat) as error:
                logger.warning("A request to forget cannot be read: %s", error)
        return found

    def settle(self, erasure: Erasure) -> None:
        """Remove a request. Settling again changes nothing."""
        self._backend.delete(erasure_key(erasure.id))


def erasure_key(identifier: str) -> str:
    """Where a request lies."""
    return f"{ERASURES}{identifier}{_SUFFIX}"
