"""How the description shows bodies that are not JSON alone."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from serving.media_types import MEDIA_TYPES
from serving.schemas.batches import ExamplesRequest
from serving.schemas.classify import ClassifyOptions, ClassifyRequest

BODIES: tuple[type[BaseModel], ...] = (ClassifyRequest, ExamplesRequest)
"""The shapes that the bodies below refer to."""

_FILE = {"type": "string", "contentMediaType": "application/octet-stream"}
_FILES = {
    "type": "array",
    "items": _FILE,
    "description": "image files (PNG, JPEG, WebP); any part with a file name counts as one",
}


def _json(shape: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{shape.__name__}"}}}


def _form(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["file"], "properties": {"file": _FILES, **properties}}
    return {"multipart/form-data": {"schema": schema, "example": example}}


def _options() -> dict[str, Any]:
    schema = ClassifyOptions.model_json_schema()["properties"]
    assert isinstance(schema, dict)
    return schema


def classify_openapi() -> dict[str, Any]:
    """`openapi_extra` of the route: its three forms, and options in the query for images."""
    images = {
        media_type: {"schema": _FILE, "example": "the bytes of the file"}
        for media_type in MEDIA_TYPES
    }
    form = _form(_options(), {"file": ["photo.jpg", "other.png"], "task": "birds", "top_k": 3})
    return {
        "requestBody": {"required": True, "content": {**_json(ClassifyRequest), **images, **form}},
        "parameters": [
            {
                "name": name,
                "in": "query",
                "description": f"{schema['description']} (not with a JSON body)",
                "schema": {key: value for key, value in schema.items() if key != "description"},
            }
            for name, schema in _options().items()
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
