"""Teaching: labelled batches, and what becomes of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, FailFast, Field

from serving.names import Name
from serving.progress import Status
from serving.schemas.inputs import OneInput, OwnId
from serving.schemas.shape import MESSAGE, AnswerShape, RequestShape, shown
from serving.submission import Labelled

_BATCH = "01JD4Q8ZK3W9V7X5M2N6P0R1ST"


class ExampleLabel(RequestShape):
    """What is said of one input."""

    label: Name
    id: OwnId | None = Field(
        None, description="your own name for it, or the id of the result it corrects"
    )


class FormLabels(RequestShape):
    """What the fields of a form say of its files."""

    examples: Annotated[list[ExampleLabel], FailFast()]


class ExampleBody(ExampleLabel):
    """One input with its true label."""

    input: OneInput

    def to_labelled(self) -> Labelled:
        """The same for the intake."""
        return Labelled(self.input.to_input(), self.label, self.id)


class ExamplesRequest(RequestShape):
    """What one batch teaches."""

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "examples": [
                    {"input": MESSAGE, "label": "refund"},
                    {"input": "Where is my order?", "label": "delivery"},
                ]
            }
        )
    )

    examples: Annotated[list[ExampleBody], FailFast()]


class BatchBody(AnswerShape):
    """Where a batch stands. `published` and `failed` are final.

    `refreshed` already means that its labels are predicted: `version` names the version that knows
    them. `published` means that its prompts are decided; `gate_refused` says that the gate kept the
    new ones from going live.
    """

    model_config = ConfigDict(
        json_schema_extra=shown(
            {
                "batch": _BATCH,
                "task": "mail",
                "status": "queued",
                "version": None,
                "gate_refused": False,
                "error": None,
                "examples": 48,
                "received_at": "2026-01-31T12:00:00Z",
            }
        )
    )

    batch: str
    task: str
    status: Status
    version: int | None = Field(description="the version that holds it, null while it is queued")
    gate_refused: bool
    error: str | None = Field(description="why it failed")
    examples: int | None = Field(description="how many; null once the batch is settled")
    received_at: datetime | None = Field(description="null once the batch is settled")
