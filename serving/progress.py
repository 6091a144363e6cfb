"""Where a batch stands: the store's word on it, with the learner's live progress laid over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Literal

from learner.events import Event
from prompt_store import InvalidKey, Kind, NotFound, Store, UnknownVersion
from serving.problems import Problem

Status = Literal["queued", "refreshed", "training", "evaluating", "published", "failed"]
"""Ends at `published` (its prompts are decided, whatever the gate chose) or at `failed`."""


@dataclass(frozen=True)
class Progress:
    """One batch.

    version: the newest known to hold it; gate_refused: its new prompts did not go live;
    examples, received_at: known until the batch is settled.
    """

    batch: str
    task: str
    status: Status
    version: int | None = None
    gate_refused: bool = False
    error: str | None = None
    examples: int | None = None
    received_at: datetime | None = None


class Overlay:
    """The phase the learner reports for each batch at this moment. Never more than decoration."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._phases: dict[str, Status] = {}

    def observe(self, event: Event) -> None:
        """Takes note of training and evaluating; any other event about a batch ends it."""
        with self._lock:
            for batch in event.batches:
                if event.kind == "progress" and event.phase in ("training", "evaluating"):
                    self._phases[batch] = event.phase
                elif event.kind != "progress":
                    self._phases.pop(batch, None)

    def phase(self, batch: str) -> Status | None:
        with self._lock:
            return self._phases.get(batch)


def progress_of(store: Store, batch_id: str, overlay: Overlay) -> Progress:
    """Where this batch stands. Blocking. Raises Problem unknown-batch."""
    try:
        return _settled(store, batch_id) or _pending(store, batch_id, overlay)
    except InvalidKey as error:
        raise _unknown(batch_id) from error
    except NotFound as error:  # settled between the two looks, or never accepted
        settled = _settled(store, batch_id)
        if settled is None:
            raise _unknown(batch_id) from error
        return settled


def _settled(store: Store, batch_id: str) -> Progress | None:
    outcome = store.intake.outcome(batch_id)
    if outcome is None:
        return None
    version, refused = outcome.version, _is_candidate(store, outcome.version)
    return Progress(batch_id, outcome.task, outcome.status, version, refused, outcome.error)


def _pending(store: Store, batch_id: str, overlay: Overlay) -> Progress:
    batch = store.intake.read(batch_id)
    timeline = store.timeline()
    status: Status = "queued"
    version = timeline.learnt_by(batch_id)
    if batch_id in timeline.undecided:
        status = overlay.phase(batch_id) or "refreshed"
    elif batch_id in timeline.decided:
        status = "published"
    refused = status == "published" and _is_candidate(store, version)
    return Progress(
        batch_id, batch.task, status, version, refused, None, len(batch.examples), batch.received_at
    )


def _is_candidate(store: Store, version: int | None) -> bool:
    if version is None:
        return False
    try:
        return store.manifest(version).kind is Kind.CANDIDATE
    except UnknownVersion:  # an old version that is no longer kept
        return False


def _unknown(batch_id: str) -> Problem:
    return Problem("unknown-batch", f"there is no batch {batch_id!r}")
