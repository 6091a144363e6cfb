"""Labelled examples as they arrive, and what became of them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from prompt_store.actor import Actor
from prompt_store.fields import (
    BatchId,
    Count,
    Digest,
    Moment,
    Name,
    Number,
    Task,
    TraceParent,
)
from prompt_store.records import Record


class Example(Record):
    """One labelled input: a text, a pair of texts, or an image (the digest of its blob)."""

    id: Name
    label: Name
    text: str | None = None
    text_pair: str | None = None
    image: Digest | None = None

    @model_validator(mode="after")
    def _is_one_input(self) -> "Example":
        if (self.text is None) == (self.image is None):
            raise ValueError(f"example {self.id!r} needs either a text or an image")
        if self.text_pair is not None and self.text is None:
            raise ValueError(f"example {self.id!r} has a second text without a first")
        return self


class Batch(Record):
    """What one POST carries.

    traceparent: of the request that brought it; via: `examples` or `feedback`, by which it came.
    """

    id: BatchId
    task: Task
    received_at: Moment
    body_digest: Digest
    examples: Annotated[tuple[Example, ...], Field(min_length=1)]
    traceparent: TraceParent | None = None
    actor: Actor | None = None
    via: Name = "examples"

    @property
    def trace(self) -> str | None:
        """Its trace's id."""
        return None if self.traceparent is None else self.traceparent.split("-")[1]


class Outcome(Record):
    """How a batch ended: the version that decided it, or the error."""

    batch: BatchId
    task: Task
    status: Literal["published", "failed"]
    version: Number | None = None
    error: Name | None = None

    @model_validator(mode="after")
    def _says_why(self) -> "Outcome":
        if self.status == "published" and self.version is None:
            raise ValueError(f"batch {self.batch}: a published outcome names its version")
        if self.status == "failed" and self.error is None:
            raise ValueError(f"batch {self.batch}: a failed outcome names its error")
        return self


class Settled(Outcome):
    """An outcome as stored; the body's digest answers a client that sends the batch again.

    What else it has of its batch is for the audit; None in records of older programs.
    """

    body_digest: Digest
    received_at: Moment | None = None
    examples: Count | None = None
    actor: Actor | None = None
    via: Name | None = None
