"""Declared tasks: which labels a task is meant to have, before or beside its examples.

A declaration teaches nothing. It makes a task known, and a batch with a label outside the declared
ones is refused: a typing error then creates no class. Kept in the store under `declarations/`, a
log of its own by the same rule as the versions': creating the next number is the commit, the newest
word on a task counts. Versions don't name declarations: promoting an old one leaves them alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prompt_store import Actor, AlreadyExists, Backend, NotFound

logger = logging.getLogger(__name__)

FOLDER = "declarations/"


class Declaration(BaseModel):
    """What a task is meant to be.

    labels: all it may have, empty means any; withdrawn: declared no longer.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    labels: tuple[str, ...] = ()
    withdrawn: bool = False
    declared_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    actor: Actor | None = None

    def says(self, other: Declaration) -> bool:
        """Whether both say the same, whenever they were made and by whom."""
        same = {"declared_at": other.declared_at, "actor": other.actor}
        return self.model_copy(update=same) == other


class Declarations:
    """The declared tasks of a store. Blocking, and safe to use from several threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = Lock()
        self._last = ""
        self._newest: dict[str, Declaration] = {}

    def all(self) -> Mapping[str, Declaration]:
        """The declarations in force, by task. Reads only what is new since the last call."""
        with self._lock:
            self._catch_up()
            return {task: one for task, one in self._newest.items() if not one.withdrawn}

    def declare(self, declaration: Declaration) -> bool:
        """Durable when it returns. Saying the same again writes nothing, and returns False."""
        with self._lock:
            while True:
                self._catch_up()
                known = self._newest.get(declaration.task)
                if known is not None and known.says(declaration):
                    return False
                if self._append(declaration):
                    return True

    def withdraw(self, task: str, actor: Actor | None = None) -> None:
        """The task is declared no longer. Durable when it returns."""
        if task in self.all():
            self.declare(Declaration(task=task, withdrawn=True, actor=actor))

    def _append(self, declaration: Declaration) -> bool:
        number = int(self._last.removeprefix(FOLDER).removesuffix(".json") or 0) + 1
        try:
            self._backend.create(
                f"{FOLDER}{number:020d}.json", declaration.model_dump_json().encode()
            )
        except AlreadyExists:
            return False
        return True

    def _catch_up(self) -> None:
        for key in self._backend.list_after(FOLDER, self._last):
            declaration = _read(self._backend, key)
            if declaration is not None:
                self._newest[declaration.task] = declaration
                self._last = key


def history(backend: Backend) -> Iterator[Declaration]:
    """All that was ever declared and withdrawn in a store, oldest first."""
    for key in backend.list_after(FOLDER):
        declaration = _read(backend, key)
        if declaration is not None:
            yield declaration


def _read(backend: Backend, key: str) -> Declaration | None:
    try:
        return Declaration.model_validate_json(backend.read(key))
    except (ValidationError, NotFound):
        logger.exception("%s is passed over; repair or remove it", key)
        return None
