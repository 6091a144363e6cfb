"""What a version is worth on a stream's test sets.

Versions are read by the code that serves them. What the backbone sees of a test row depends on a
prompt alone, so it is encoded once for each prompt that the row is ever seen under.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backbones import FloatArray, Input, IntArray, Prefix, TrainableBackbone
from backbones.lower import LowerStates
from benchmarks.streams import StreamTask
from learner.content import Content, class_id, labels_of, split_class
from learner.heads.viewed import ViewedHead
from learner.knowledge import under
from learner.sight import Seen

CHUNK = 256
"""Test rows encoded between two reports of progress."""


@dataclass(frozen=True)
class Marks:
    """Accuracy by task, without and with the task's id given; `routed`: share in its domain."""

    unnamed: dict[str, float]
    named: dict[str, float]
    routed: dict[str, float] = field(default_factory=dict)


@dataclass(eq=False)
class _Sight:
    """One task's test rows. upper: by prompt, the (N, L', D) states of rows seen so far."""

    lower: LowerStates
    plain: Seen
    upper: dict[str, FloatArray] = field(default_factory=dict)


@dataclass(eq=False)
class Examiner:
    """Examines contents on the test sets of tasks seen so far."""

    backbone: TrainableBackbone
    report: Callable[[int], None] = lambda rows: None
    _sights: dict[str, _Sight] = field(default_factory=dict)

    def examine(self, content: Content, tasks: Sequence[StreamTask]) -> Marks:
        """Accuracy of a content on each of `tasks`."""
        assert content.domains, "a version without classes cannot be examined"
        marks = Marks({}, {})
        for task in tasks:
            labels = [class_id(task.name, example.label) for example in task.test]
            marks.unnamed[task.name], marks.routed[task.name] = self._unnamed(task, content, labels)
            marks.named[task.name] = self._named(task, content, labels)
        return marks

    def features(self, content: Content, task: StreamTask) -> FloatArray:
        """(N, D) the last layer of a task's test rows under the prompt of its domain."""
        domain = content.domains[content.index_of(task.name)]
        seen = self._seen(task, domain.prefix, np.arange(len(task.test)))
        return np.ascontiguousarray(seen.states[:, -1])

    def _unnamed(
        self, task: StreamTask, content: Content, labels: Sequence[str]
    ) -> tuple[float, float]:
        routes = self._routes(task, content)
        right = np.zeros(len(labels), dtype=bool)
        for index in np.unique(routes).tolist():
            domain, rows = content.domains[index], np.flatnonzero(routes == index)
            seen = self._seen(task, domain.prefix, rows)
            right[rows] = _right(
                domain.head, seen, domain.labels, [labels[i] for i in rows.tolist()]
            )
        return float(right.mean()), float((routes == content.index_of(task.name)).mean())

    def _named(self, task: StreamTask, content: Content, labels: Sequence[str]) -> float:
        rows = np.arange(len(labels))
        if task.name in content.heads:
            own = labels_of([task.name], content.labels)
            seen = self._seen(task, content.prefixes[task.name], rows)
            return float(_right(content.heads[task.name], seen, own, labels).mean())
        domain = content.domains[content.index_of(task.name)]
        columns = [c for c, name in enumerate(domain.labels) if split_class(name)[0] == task.name]
        head = domain.head.restrict(columns)
        seen = self._seen(task, domain.prefix, rows)
        return float(_right(head, seen, [domain.labels[c] for c in columns], labels).mean())

    def _routes(self, task: StreamTask, content: Content) -> IntArray:
        plain = self._sight(task).plain
        if content.router is None:
            return np.zeros(len(plain), np.int64)
        lower = plain.lower(self.backbone.description.first_prompted)
        return np.asarray(content.router.scores(lower).argmax(axis=1), dtype=np.int64)

    def _seen(self, task: StreamTask, prefix: Prefix | None, rows: IntArray) -> Seen:
        """Some test rows under a prompt."""
        sight = self._sight(task)
        plain = sight.plain.take(rows)
        if prefix is None:
            return plain
        digest = prefix.digest
        upper = sight.upper.get(digest)
        if upper is None:
            layers = self.backbone.description.prompted_layers
            shape = (len(sight.plain), layers, plain.states.shape[2])
            self._forget_old(sight)
            upper = sight.upper[digest] = np.full(shape, np.nan, np.float32)
        missing = rows[np.isnan(upper[rows, 0, 0])]
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            upper[chunk] = self.backbone.encode_lower_layers(sight.lower.select(chunk), prefix)
            self.report(len(chunk))
        return under(plain, upper[rows])

    def _sight(self, task: StreamTask) -> _Sight:
        if task.name not in self._sights:
            self._sights[task.name] = self._look(task)
        return self._sights[task.name]

    def _look(self, task: StreamTask) -> _Sight:
        nothing = Prefix.empty(self.backbone.description)
        lower, upper = [], []
        for start in range(0, len(task.test), CHUNK):
            chunk = task.test[start : start + CHUNK]
            batch = self.backbone.preprocess([one.input for one in chunk])
            lower.append(self.backbone.lower(batch))
            upper.append(self.backbone.encode_lower_layers(lower[-1], nothing))
            self.report(len(chunk))
        states = LowerStates.concat(lower)
        assert states.pooled is not None, "a backbone pools the states it computes"
        seen = Seen(np.concatenate([states.pooled, np.concatenate(upper)], axis=1))
        return _Sight(states, replace(seen, apart=self._apart(task)))

    def _apart(self, task: StreamTask) -> FloatArray | None:
        if all(one.text_pair is None for one in task.test):
            return None
        texts = [Input(text=one.text) for one in task.test]
        texts += [Input(text=one.text_pair or "") for one in task.test]
        features = self.backbone.encode(self.backbone.preprocess(texts))
        return np.stack(np.split(features, 2), axis=1)

    def _forget_old(self, sight: _Sight) -> None:
        """Keep memory flat: at most a few prompts a task are alive at a time."""
        for digest in list(sight.upper)[:-8]:
            del sight.upper[digest]


def _right(
    head: ViewedHead, seen: Seen, classes: Sequence[str], labels: Sequence[str]
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    index = {name: column for column, name in enumerate(classes)}
    targets = np.array([index.get(label, -1) for label in labels])
    return np.asarray(head.log_posteriors(seen).argmax(axis=1) == targets)
