"""Calls with images, in every form the API takes."""

from __future__ import annotations

import base64
from typing import Any

import httpx

CLASSIFY = "/v1/classify"
TEACH = "/v1/tasks/tones/examples"
LIMITS = {"inputs": 4, "examples": 4, "image_bytes": 20_000, "image_pixels": 100_000}
"""Of the server that the fixture `client` of these tests speaks to."""


def as_json(*images: bytes) -> list[dict[str, str]]:
    return [{"image": base64.b64encode(one).decode()} for one in images]


def post_bytes(
    client: httpx.Client, data: bytes, kind: str = "image/png", **query: Any
) -> httpx.Response:
    return client.post(CLASSIFY, content=data, params=query, headers={"Content-Type": kind})


def post_form(
    client: httpx.Client, *files: tuple[bytes, str | None], path: str = CLASSIFY, **fields: Any
) -> httpx.Response:
    parts = [("file", (f"{n}.bin", data, kind)) for n, (data, kind) in enumerate(files)]
    return client.post(path, files=parts, data=fields)


def predictions(answer: httpx.Response) -> list[list[dict[str, Any]]]:
    assert answer.status_code == 200, answer.text
    return [one["predictions"] for one in answer.json()["results"]]
