"""How a server is asked for the best label of each text, and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Final

import orjson


@dataclass(frozen=True)
class Form:
    """path: what requests are posted to;  body: of a request;  labels: from an answer's body."""

    path: str
    body: Callable[[Sequence[str]], bytes]
    labels: Callable[[bytes], list[str]]


def _classify(texts: Sequence[str]) -> bytes:
    return orjson.dumps({"inputs": texts, "top_k": 1})


def _best(answer: bytes) -> list[str]:
    return [result["predictions"][0]["label"] for result in orjson.loads(answer)["results"]]


def _texts(texts: Sequence[str]) -> bytes:
    return orjson.dumps({"texts": texts})


def _labels(answer: bytes) -> list[str]:
    return list(orjson.loads(answer)["labels"])


def _one_text(texts: Sequence[str]) -> bytes:
    (text,) = texts
    return orjson.dumps({"text": text, "k": 1})


def _first(answer: bytes) -> list[str]:
    return [orjson.loads(answer)["predictions"][0]["label"]]


CLASSIFY: Final = Form("/v1/classify", _classify, _best)
"""Perennial's own."""


def naming(tasks: Sequence[str]) -> Form:
    """Perennial's own, each request naming the next of these tasks, again from the first."""
    names = cycle(tasks)

    def body(texts: Sequence[str]) -> bytes:
        return orjson.dumps({"inputs": texts, "task": next(names), "top_k": 1})

    return replace(CLASSIFY, body=body)


TEXTS: Final = Form("/predict", _texts, _labels)
"""Of the servers written for this comparison."""
TEXT: Final = Form("/predict", _one_text, _first)
"""adaptive-classifier's own, of one text: `body` raises ValueError for another number."""
OF_PEERS: Final = {
    "fastapi-transformers": TEXTS,
    "litserve": TEXTS,
    "adaptive-classifier": TEXT,
}
