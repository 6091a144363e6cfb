"""SetFit: no incremental mode, so at each task a new model is trained on all rows seen so far."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from datasets import Dataset  # type: ignore[import-not-found]
from setfit import SetFitModel, Trainer, TrainingArguments  # type: ignore[import-not-found]

from benchmarks.peers.examination import InThisProcess, Task, main

PACKAGES = ("setfit", "sentence-transformers", "torch", "transformers")
ITERATIONS = 1
"""Pairs per row, positive and negative each. The recipe's default draws all pairs: 94 000 steps for
the 77 classes of BANKING77, thirty hours of one CPU core."""


class RetrainedSetFit(InThisProcess):
    """The model that answers, and the rows seen so far, kept on the system's behalf."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._folder = content["model"]
        self._seed = content["seed"]
        self._texts: list[str] = []
        self._labels: list[str] = []
        self._model: Any = None

    def learn(self, task: Task) -> None:
        """Train from the pre-trained body; the model before answers until this one is ready."""
        self._texts += task.train_texts
        self._labels += task.train_labels
        model = SetFitModel.from_pretrained(self._folder)
        with tempfile.TemporaryDirectory() as folder:
            Trainer(
                model=model,
                args=self._arguments(folder),
                train_dataset=Dataset.from_dict({"text": self._texts, "label": self._labels}),
            ).train()
        self._model = model

    def predict(self, texts: Sequence[str]) -> list[str]:
        """In the library's own batch size."""
        return [str(label) for label in self._model.predict(list(texts), show_progress_bar=False)]

    def predict_one(self, text: str) -> str:
        """From the model trained last."""
        return str(self._model.predict(text, show_progress_bar=False))

    def about(self) -> dict[str, Any]:
        """Versions; settings that bound the cost."""
        return {
            "versions": {name: version(name) for name in PACKAGES},
            "settings": {"num_iterations": ITERATIONS, "otherwise": "default"},
        }

    def _arguments(self, folder: str) -> Any:
        return TrainingArguments(
            output_dir=folder,
            num_iterations=ITERATIONS,
            seed=self._seed,
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )


if __name__ == "__main__":
    main(RetrainedSetFit)
