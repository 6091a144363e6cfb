"""What calls return: frozen, typed, and tolerant of members that a newer server adds.

Members without a field here are kept: `result.model_extra`, and in `result.model_dump()`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["queued", "refreshed", "training", "evaluating", "published", "rejected", "failed"]


class Answer(BaseModel):
    """Base of all results."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Prediction(Answer):
    """One class with its calibrated score, between 0 and 1."""

    task: str
    label: str
    score: float


class Result(Answer):
    """The answer to one input, best prediction first.

    id: name of this answer, by which a true label can be sent later; novelty: how far the input
    lies from everything learnt, as a quantile of the training examples' own distances.
    """

    id: str | None = None
    novelty: float | None = None
    predictions: tuple[Prediction, ...]

    @property
    def best(self) -> Prediction | None:
        """The first prediction, None where the server knows no class yet."""
        return self.predictions[0] if self.predictions else None


class Classification(Answer):
    """One `Result` per input, in their order, all from one `version`."""

    version: int
    results: tuple[Result, ...]


class Batch(Answer):
    """Where a batch of examples stands.

    version: the version that holds it, None while queued; error: why it failed.
    """

    batch: str
    task: str
    status: Status
    version: int | None = None
    error: str | None = None
    examples: int | None = None


class Task(Answer):
    """A task the server knows."""

    task: str


class Version(Answer):
    """One immutable published state, with its provenance and gate report."""

    version: int
    kind: str
    created_at: str | None = None
    gate: dict[str, Any] | None = None


class Versions(Answer):
    """The history, and which of it is live (None before the first)."""

    live: int | None
    versions: tuple[Version, ...]


class Info(Answer):
    """What the server is: backbone, engine, limits, fallbacks."""
