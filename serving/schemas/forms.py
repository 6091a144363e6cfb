"""How the description shows bodies that are not JSON alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serving.canary import CALLER
from serving.media_types import LINES, MEDIA_TYPES
from serving.schemas.batches import ExamplesRequest
from serving.schemas.classify import AnswerLine, ClassifyOptions, ClassifyRequest
from serving.schemas.inputs import LineBody

BODIES: tuple[type[BaseModel], ...] = (ClassifyRequest, ExamplesRequest, LineBody, AnswerLine)
"""The shapes that the bodies below refer to."""

_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FILES = {
    "type": "array",
    "items": _FILE,
    "description": "image files (PNG, JPEG, WebP); any part with a file name counts as one",
}


_LINES_ASKED = """\
"My parcel never arrived, can I get my money back?"
{"id": "row-2", "text": "Is it late?", "text_pair": "Subject: order 1234"}
{"text": ""}
"""
_LINES_ANSWERED = """\
{"version":42,"id":"0192f3a8","novelty":0.03,"predictions":[{"task":"mail","label":"refund","score":0.97}]}
{"version":42,"id":"row-2","novelty":0.1,"predictions":[{"task":"mail","label":"delivery","score":0.9}]}
{"line":3,"error":{"type":"https://perennial.dev/problems/invalid-content","status":422,"detail":"…"}}
"""


def _json(shape: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


def _lines(shape: type[BaseModel], example: str) -> dict[str, Any]:
    """A body of any number of lines. OpenAPI 3.2 calls what stands in each `itemSchema`."""
    item = {"$ref": f"#/components/schemas/{shape.__name__}"}
    media = {"schema": {"type": "string"}, "itemSchema": item, "example": example}
    return dict.fromkeys(LINES, media)


def line_answers() -> dict[str, Any]:
    """The content of the answer to a stream."""
    return _lines(AnswerLine, _LINES_ANSWERED)


def _form(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file"], "properties": {"file": _FILES, **properties}}
    return {"multipart/form-data": {"schema": schema, "example": example}}


def _options() -> dict[str, Any]:
    schema = ClassifyOptions.model_json_schema()["properties"]
    assert isinstance(schema, dict)
    return schema


def classify_openapi() -> dict[str, Any]:
    """`openapi_extra` of the route: its forms, and options in the query for images and lines."""
    images = {
        media_type: {"schema": _FILE, "example": "the bytes of the file"}
        for media_type in MEDIA_TYPES
    }
    form = _form(_options(), {"file": ["photo.jpg", "other.png"], "task": "birds", "top_k": 3})
    lines = _lines(LineBody, _LINES_ASKED)
    content = {**_json(ClassifyRequest), **images, **form, **lines}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": f"{schema['description']} (not with a JSON body)",
                "schema": {key: value for key, value in schema.items() if key != "description"},
            }
            for name, schema in _options().items()
        ]
        + [
            {
                "name": CALLER,
                "in": "header",
                "description": "who asks: sees one version for as long as a canary lasts; without "
                "it, the same inputs do",
                "schema": {"type": "string"},
            }
        ],
    }


def examples_openapi() -> dict[str, Any]:
    """`openapi_extra` of the route: JSON, or a form."""
    texts = {"type": "array", "items": {"type": "string"}}
    properties = {
        "label": {**texts, "description": "one for each file in their order, or one for all"},
        "id": {**texts, "description": "your own name for each file, or none at all"},
    }
    example = {"file": ["wren.jpg", "robin.jpg"], "label": ["wren", "robin"]}
    form = _form(properties, example)
    form["multipart/form-data"]["schema"]["required"] = ["file", "label"]
    return {"requestBody": {"required": True, "content": {**_json(ExamplesRequest), **form}}}
