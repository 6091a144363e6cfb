"""The learner's progress, as a stream of small facts.

Events are for people and dashboards; the store is the truth. Losing one loses no state.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from prompt_store import Prequential

Phase = Literal["refreshing", "training", "evaluating", "publishing"]
EventKind = Literal[
    "progress", "refreshed", "published", "candidate", "canary", "failed", "swapped", "idle"
]


class Event(BaseModel):
    """One fact about learning or swapping."""

    model_config = ConfigDict(frozen=True)

    kind: EventKind
    at: float = Field(default_factory=time.time, description="Unix seconds")
    task: str | None = None
    batches: tuple[str, ...] = ()
    version: int | None = None
    phase: Phase | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    remaining_seconds: float | None = None
    message: str | None = None
    prequential: dict[str, Prequential] | None = None


Emit = Callable[[Event], None]


def discard(event: Event) -> None:
    """An `Emit` that keeps nothing."""
