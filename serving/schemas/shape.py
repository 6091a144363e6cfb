"""What all shapes have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST_INTEGER = 2**53 - 1
"""The largest that every JSON reader keeps exact."""
MOST_MEMBERS = 32
"""Of an object in a request: more than any shape has."""
MOST_ENTRIES = 100_000
"""Of a list in a request, whatever the limits: what is more is not looked at."""
MESSAGE = "My parcel never arrived, can I get my money back?"
"""The text of the examples in the documentation."""


class RequestShape(BaseModel):
    """What callers send: unknown members are refused, so that a typing error is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _has_few_members(cls, value: Any) -> Any:
        """Else naming each that is unknown takes seconds and a gigabyte, and so do long lists."""
        if isinstance(value, dict) and len(value) > MOST_MEMBERS:
            raise ValueError(f"an object of {len(value)} members; at most {MOST_MEMBERS} are read")
        for name, member in value.items() if isinstance(value, dict) else ():
            if isinstance(member, list) and len(member) > MOST_ENTRIES:
                raise ValueError(
                    f"{name} holds {len(member)} entries; at most {MOST_ENTRIES} are read"
                )
        return value


class AnswerShape(BaseModel):
    """What callers get. Members may be added: ignore those you don't know."""

    model_config = ConfigDict(frozen=True)


class ContentError(AnswerShape):
    """One thing that is wrong: `pointer` into the body (RFC 6901) or the name of a `parameter`."""

    pointer: str | None = Field(None, examples=["#/inputs/0/text"])
    parameter: str | None = Field(None, examples=["limit"])
    detail: str = Field(examples=["Field required"])


class ProblemDetails(BaseModel):
    """A refusal, RFC 9457. `type` is stable; further members depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["https://perennial.dev/problems/unknown-task"])
    title: str = Field(examples=["No such task"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no task 'mial'; GET /v1/tasks lists those there are"])
    errors: list[ContentError] | None = Field(
        None, description="for content that is not acceptable"
    )
    trace: str | None = Field(None, description="id of the request's trace, 32 hex digits")


def shown(*values: Any) -> Any:
    """The `json_schema_extra` with these values as examples of the whole shape."""
    return {"examples": list(values)}
