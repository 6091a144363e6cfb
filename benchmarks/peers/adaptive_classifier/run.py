"""adaptive-classifier: `add_examples` for each task, its default settings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from adaptive_classifier import AdaptiveClassifier  # type: ignore[import-not-found]

from benchmarks.peers.examination import InThisProcess, Task, main

PACKAGES = ("adaptive-classifier", "torch", "transformers", "optimum", "onnxruntime")


class Adaptive(InThisProcess):
    """One classifier, fed task by task. Old examples are kept by the library itself."""

    def __init__(self, content: dict[str, Any]) -> None:
        np.random.seed(content["seed"])  # what the library draws its rehearsal rows from
        self._classifier = AdaptiveClassifier(content["model"], seed=content["seed"])

    def learn(self, task: Task) -> None:
        """One synchronous call with all rows of the task."""
        self._classifier.add_examples(task.train_texts, task.train_labels)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """`predict_batch` in the library's own batch size."""
        return [answer[0][0] for answer in self._classifier.predict_batch(list(texts), k=1)]

    def predict_one(self, text: str) -> str:
        """`predict`, which takes the classifier's lock."""
        return str(self._classifier.predict(text, k=1)[0][0])

    def about(self) -> dict[str, Any]:
        """Versions; whether ONNX Runtime encodes (its default on a CPU)."""
        return {
            "versions": {name: version(name) for name in PACKAGES},
            "settings": {"onnx": bool(self._classifier.use_onnx), "config": "default"},
        }


if __name__ == "__main__":
    main(Adaptive)
