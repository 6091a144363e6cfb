"""A sentence encoder and a linear head in PyTorch, as people write them behind a server."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer


class TorchClassifier:
    """What a server's content names: `model`, a folder; `classes`; a head's `weights`, `bias`.

    weights: (D, C), for the mean over a text's tokens, of length 1;  bias: (C,)
    """

    def __init__(self, content: dict[str, Any]) -> None:
        torch.set_num_threads(content["threads"])
        self._tokenizer = AutoTokenizer.from_pretrained(content["model"])
        self._model = AutoModel.from_pretrained(content["model"]).eval()
        self._max_length: int = content["max_length"]
        self._classes: list[str] = content["classes"]
        self._weights = torch.tensor(content["weights"])
        self._bias = torch.tensor(content["bias"])

    def labels(self, texts: list[str]) -> list[str]:
        """The best label of each text, all of them in one pass."""
        batch = self._tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self._max_length,
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = self._model(**batch).last_hidden_state  # (B, S, D)
            mask = batch["attention_mask"].unsqueeze(-1)
            features = normalize((states * mask).sum(1) / mask.sum(1))
            best = (features @ self._weights + self._bias).argmax(1)
        return [self._classes[column] for column in best.tolist()]
