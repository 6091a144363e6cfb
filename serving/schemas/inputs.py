"""One thing to classify or to learn from."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, FailFast, Field, WithJsonSchema, model_validator

from backbones import Input
from serving.schemas.shape import MESSAGE, RequestShape


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("an image is a string: its bytes in base64")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"this is not base64 ({error}); encode the bytes of the file") from error


ImageBytes = Annotated[
    bytes,
    BeforeValidator(_decoded),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
    Field(min_length=1),
]


OwnId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]
"""A caller's own name for something."""


class InputBody(RequestShape):
    """A text, two texts that belong together, or an image file."""

    text: str | None = Field(None, min_length=1, examples=[MESSAGE])
    text_pair: str | None = Field(None, min_length=1, description="a second text, with the first")
    image: ImageBytes | None = Field(None, description="bytes of a PNG, JPEG or WebP file, base64")

    @model_validator(mode="after")
    def _is_one_input(self) -> Self:
        if (self.text is None) == (self.image is None):
            raise ValueError("an input has either a text or an image")
        if self.text_pair is not None and self.text is None:
            raise ValueError("text_pair comes with a text")
        return self

    def to_input(self) -> Input:
        """The same for the backbone."""
        return Input(self.text, self.text_pair, self.image)


def _from_text(value: Any) -> Any:
    """A plain string is short for `{"text": …}`."""
    return {"text": value} if isinstance(value, str) else value


def as_list(value: Any) -> Any:
    """One thing is short for a list of it."""
    return value if isinstance(value, list) else [value]


class LineBody(InputBody):
    """One input as a line of a stream, which may have a name."""

    id: OwnId | None = Field(None, description="your own name for it, repeated in its answer")


OneInput = Annotated[InputBody, BeforeValidator(_from_text, json_schema_input_type=str | InputBody)]
OneLine = Annotated[LineBody, BeforeValidator(_from_text, json_schema_input_type=str | LineBody)]
Inputs = Annotated[
    list[OneInput],
    FailFast(),  # one refusal is enough: reporting thousands would cost more than the request
    BeforeValidator(as_list, json_schema_input_type=str | InputBody | list[str | InputBody]),
]
