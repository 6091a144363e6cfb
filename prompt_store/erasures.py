"""Requests to forget a task, a class or examples, durable before they are acknowledged.

    erasures/<id>.json    from `ask` until the learner has committed a `forget` that names the id

The log is the record that something was forgotten; a request is only a note to the learner, and
the only place that names what. It is gone once it is carried out.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from prompt_store.actor import Actor
from prompt_store.backends.base import Backend, contents
from prompt_store.batch_ids import batch_id
from prompt_store.errors import Corrupt, UnsupportedFormat
from prompt_store.fields import BatchId, Count, Moment, Name, Task
from prompt_store.records import Record, decode, encode

logger = logging.getLogger(__name__)

ERASURES = "erasures/"
_SUFFIX = ".json"


class Erasure(Record):
    """One request: for a class where it names a label, for examples where it names ids.

    after: the head of the log when it was made; a `forget` for it comes later.
    """

    FORMAT: ClassVar[int] = 2  # who reads 1 takes every request for one of a whole task

    id: BatchId
    task: Task
    label: Name | None = None
    examples: tuple[Name, ...] = ()
    asked_at: Moment
    after: Count
    actor: Actor | None = None

    def covers(self, label: str, example: str) -> bool:
        """Whether it asks for this example, an id, of its task."""
        if self.label is not None:
            return label == self.label
        return not self.examples or example in self.examples


class Erasures:
    """The folder `erasures/`. Safe for threads and processes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def ask(
        self,
        task: str,
        after: int,
        *,
        label: str | None = None,
        examples: Sequence[str] = (),
        actor: Actor | None = None,
    ) -> Erasure:
        """Note that a task, one class or some examples of it are to be forgotten.

        Durable when this returns.
        """
        erasure = Erasure(
            id=batch_id(),
            task=task,
            label=label,
            examples=tuple(examples),
            asked_at=datetime.now(UTC),
            after=after,
            actor=actor,
        )
        self._backend.create(erasure_key(erasure.id), encode(erasure))
        return erasure

    def is_pending(self, identifier: str) -> bool:
        """Whether a request is noted and not settled yet. Raises InvalidKey for what is no id."""
        return self._backend.exists(erasure_key(identifier))

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
