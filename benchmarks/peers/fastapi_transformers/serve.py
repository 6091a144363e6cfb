"""The server people write first, FastAPI around transformers: `serve.py CONTENT.json PORT`.

A sync endpoint, and a pass for each request; FastAPI calls it in 40 threads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.torch_classifier import TorchClassifier


class Question(BaseModel):
    """One text, or several that are answered in one pass."""

    texts: str | list[str]


class Answer(BaseModel):
    """The best label of each text."""

    labels: list[str]


def application(classifier: TorchClassifier) -> FastAPI:
    """The two routes around a classifier."""
    app = FastAPI()

    @app.get("/health")
    def health() -> None:
        """As soon as it listens."""

    @app.post("/predict")
    def predict(question: Question) -> Answer:
        texts = [question.texts] if isinstance(question.texts, str) else question.texts
        return Answer(labels=classifier.labels(texts))

    return app


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[1]).read_text())
    app = application(TorchClassifier(content))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
