"""What a version is worth on a stream's test sets, through the code that serves it.

Test features depend on a prefix alone, so they are encoded once for each prefix and kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from backbones import Backbone, Bank, FloatArray, Input, Prefix, Preprocessed
from benchmarks.streams import StreamTask
from learner.content import Content, class_id
from learner.heads import Head

CHUNK = 256
"""Test rows encoded between two reports of progress."""


@dataclass(frozen=True)
class Marks:
    """Accuracy by task, without and with the task's id given."""

    unnamed: dict[str, float]
    named: dict[str, float]


@dataclass
class Examiner:
    """Examines contents on the test sets of tasks seen so far."""

    backbone: Backbone
    report: Callable[[int], None] = lambda rows: None
    _inputs: dict[str, Preprocessed] = field(default_factory=dict)
    _features: dict[tuple[str, str], FloatArray] = field(default_factory=dict)

    def examine(self, content: Content, tasks: Sequence[StreamTask]) -> Marks:
        """Accuracy of a content on each of `tasks`."""
        assert content.flat is not None, "a version without classes cannot be examined"
        unnamed, named = {}, {}
        for task in tasks:
            labels = [class_id(task.name, label) for _, label in task.test]
            features = self._see(task, content, row=0)
            unnamed[task.name] = _accuracy(content.flat, features, content.labels, labels)
            named[task.name] = self._with_task(task, content, features, labels)
        return Marks(unnamed, named)

    def _with_task(
        self, task: StreamTask, content: Content, features: FloatArray, labels: list[str]
    ) -> float:
        columns = content.tasks[task.name]
        own = [content.labels[column] for column in columns]
        if task.name in content.task_heads:
            seen = self._see(task, content, row=content.rows[task.name])
            return _accuracy(content.task_heads[task.name], seen, own, labels)
        assert content.flat is not None
        return _accuracy(content.flat.restrict(columns), features, own, labels)

    def _see(self, task: StreamTask, content: Content, row: int) -> FloatArray:
        prefix = None if content.bank is None else content.bank.prefix(row)
        key = (task.name, _digest(prefix))
        if key not in self._features:
            self._forget_old(task.name)
            self._features[key] = self._encode(task, prefix)
        return self._features[key]

    def _encode(self, task: StreamTask, prefix: Prefix | None) -> FloatArray:
        if task.name not in self._inputs:
            texts = [Input(text=text) for text, _ in task.test]
            self._inputs[task.name] = self.backbone.preprocess(texts)
        inputs = self._inputs[task.name]
        bank = None if prefix is None or prefix.length == 0 else Bank.stack([prefix])
        parts = []
        for start in range(0, len(inputs), CHUNK):
            chunk = inputs[start : start + CHUNK]
            parts.append(self.backbone.encode(chunk, bank))
            self.report(len(chunk))
        return np.concatenate(parts)

    def _forget_old(self, task: str) -> None:
        """Keep memory flat: at most a few prefixes a task are alive at a time."""
        old = [key for key in self._features if key[0] == task and key[1] != "plain"]
        for key in old[:-2]:
            del self._features[key]


def _digest(prefix: Prefix | None) -> str:
    if prefix is None or prefix.length == 0:
        return "plain"
    return hashlib.sha256(prefix.keys_values.tobytes() + prefix.bias.tobytes()).hexdigest()


def _accuracy(
    head: Head, features: FloatArray, classes: Sequence[str], labels: Sequence[str]
) -> float:
    index = {name: column for column, name in enumerate(classes)}
    targets: NDArray[np.int64] = np.array([index.get(label, -1) for label in labels])
    return float((head.log_posteriors(features).argmax(axis=1) == targets).mean())
