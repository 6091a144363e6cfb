"""LitServe, which batches what waits: `serve.py CONTENT.json PORT`."""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found]

from benchmarks.peers.torch_classifier import TorchClassifier

BATCH = 32
"""Requests of a pass: half of the clients, so that a full batch waits when a pass ends."""
WAIT_SECONDS = 0.01


class Api(litserve.LitAPI):  # type: ignore[misc]
    """The classifier in LitServe's one worker."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(max_batch_size=BATCH, batch_timeout=WAIT_SECONDS)
        self._content = content

    def setup(self, device: str) -> None:
        """Load it, in the worker."""
        self._classifier = TorchClassifier(self._content)

    def decode_request(self, request: dict[str, list[str]]) -> list[str]:
        """The texts of a request."""
        return request["texts"]

    def predict(self, requests: list[list[str]]) -> list[list[str]]:
        """The labels of each request, all in one pass."""
        labels = iter(self._classifier.labels([text for texts in requests for text in texts]))
        return [list(islice(labels, len(texts))) for texts in requests]

    def encode_response(self, labels: list[str]) -> dict[str, list[str]]:
        """The answer's body."""
        return {"labels": labels}


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[1]).read_text())
    server = litserve.LitServer(Api(content), accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False
    )
