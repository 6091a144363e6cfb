"""One pass: slices of many requests, tasks and versions through the backbone to their results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from backbones import Backbone, Bank, FloatArray, Input, IntArray, InvalidInput, Preprocessed
from serving.problems import Problem, invalid
from serving.snapshot import Snapshot, View, empty_bank


class Prediction(NamedTuple):
    """One class and its calibrated score between 0 and 1."""

    task: str
    label: str
    score: float


class Result(NamedTuple):
    """The answer to one input: best first, and how far it lies from everything learnt."""

    novelty: float | None
    predictions: list[Prediction]


@dataclass(frozen=True)
class Work:
    """What one request asks. pinned: the snapshot it names, None for the one that is current."""

    inputs: Sequence[Input]
    task: str | None = None
    top_k: int = 5
    pinned: Snapshot | None = None


@dataclass(frozen=True)
class Slice:
    """The inputs `start` to `stop` of a work, to be answered by one snapshot."""

    work: Work
    snapshot: Snapshot
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def inputs(self) -> Sequence[Input]:
        return self.work.inputs[self.start : self.stop]


@dataclass(frozen=True)
class _Seen:
    """A slice that passed preprocessing, its view, and where its rows lie in the pass."""

    slice: Slice
    view: View
    batch: Preprocessed
    place: int  # in the sequence of slices given


class ForwardPass:
    """The function the batcher's worker thread calls."""

    def __init__(self, backbone: Backbone, tokens: int) -> None:
        self._backbone = backbone
        self._tokens = tokens
        self._nothing = empty_bank(backbone.description)

    def __call__(self, slices: Sequence[Slice]) -> Sequence[Sequence[Result] | Exception]:
        """For each slice the results of its inputs, or the Problem with it."""
        outcomes: list[Sequence[Result] | Exception] = [[] for _ in slices]
        seen: list[_Seen] = []
        for place, one in enumerate(slices):
            try:
                seen.append(_Seen(one, view_of(one), self._preprocess(one), place))
            except Problem as problem:
                outcomes[place] = problem
        if seen:
            for passed, results in zip(seen, self._answer(seen), strict=True):
                outcomes[passed.place] = results
        return outcomes

    def _preprocess(self, one: Slice) -> Preprocessed:
        try:
            return self._backbone.preprocess(one.inputs)
        except InvalidInput as error:
            raise invalid("#/inputs", str(error)) from error

    def _answer(self, seen: Sequence[_Seen]) -> list[list[Result]]:
        """The results of each slice. Inputs of one snapshot and view share one use of its head."""
        features = self._encode(seen)
        ends = np.cumsum([len(one.batch) for one in seen])
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, one in enumerate(seen):
            groups[id(one.slice.snapshot), id(one.view)].append(index)
        results: list[list[Result]] = [[] for _ in seen]
        for members in groups.values():
            group = [seen[index] for index in members]
            parts = [
                features[ends[index] - len(seen[index].batch) : ends[index]] for index in members
            ]
            for index, answered in zip(members, _judge(group, parts), strict=True):
                results[index] = answered
        return results

    def _encode(self, seen: Sequence[_Seen]) -> FloatArray:
        """Features (B, D) of all slices in order."""
        batch = Preprocessed.concat([one.batch for one in seen])
        bank, rows = self._bank_and_rows(seen)
        features = np.empty((len(batch), self._backbone.description.width), np.float32)
        for chosen in pieces(batch.lengths, self._tokens):
            used = rows[chosen] if bank is not None else None
            features[chosen] = self._backbone.encode(batch.select(chosen), bank, used)
        return features

    def _bank_and_rows(self, seen: Sequence[_Seen]) -> tuple[Bank | None, IntArray]:
        """The one bank for all, and which row each input uses.

        Of one snapshot its own bank as it is, so that an engine may keep it on its device; of
        several, a bank of just the rows in use.
        """
        rows = np.concatenate([np.full(len(one.batch), one.view.row, np.int64) for one in seen])
        snapshots = {id(one.slice.snapshot): one.slice.snapshot for one in seen}
        if len(snapshots) == 1:
            return next(iter(snapshots.values())).content.bank, rows
        return self._mixed(seen)

    def _mixed(self, seen: Sequence[_Seen]) -> tuple[Bank | None, IntArray]:
        banks: list[Bank] = []
        row_of: dict[tuple[int, int], int] = {}
        rows: list[IntArray] = []
        for one in seen:
            key = (id(one.slice.snapshot.content.bank), one.view.row)
            if key not in row_of:
                row_of[key] = len(banks)
                banks.append(_row(one.slice.snapshot.content.bank or self._nothing, one.view.row))
            rows.append(np.full(len(one.batch), row_of[key], np.int64))
        bank = Bank.concat(banks)
        return (bank if bank.length else None), np.concatenate(rows)


def view_of(one: Slice) -> View:
    """What answers the slice. Raises Problem: no-classes, unknown-task."""
    return view(one.snapshot, one.work.task)


def view(snapshot: Snapshot, task: str | None) -> View:
    """What answers requests of this task, or of none. Raises Problem: no-classes, unknown-task."""
    found = snapshot.views.get(task)
    if found is not None:
        return found
    if not snapshot.views:
        raise no_classes()
    raise Problem(
        "unknown-task",
        f"version {snapshot.version} knows no task {task!r}; GET /v1/tasks lists those it knows",
        version=snapshot.version,
    )


def no_classes(pending: int = 0) -> Problem:
    """Nothing has been learnt yet. pending: how many batches wait to be learnt."""
    if pending:
        batches = "1 batch is" if pending == 1 else f"{pending} batches are"
        return Problem(
            "no-classes",
            f"this server knows no classes yet; {batches} being learnt, ask again in a second",
            retry_after=1,
        )
    return Problem(
        "no-classes",
        "this server knows no classes yet; POST labelled examples to /v1/tasks/{task}/examples",
    )


def pieces(lengths: IntArray, tokens: int) -> Iterable[IntArray]:
    """Positions grouped into passes of at most `tokens` tokens, padding included.

    Inputs of like length go together. One that is longer than `tokens` goes alone.
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    for stop in range(1, len(order) + 1):
        full = stop == len(order) or lengths[order[stop]] * (stop + 1 - start) > tokens
        if full:
            yield order[start:stop]
            start = stop


def _row(bank: Bank, row: int) -> Bank:
    return Bank(bank.keys_values[row : row + 1], bank.bias[row : row + 1])


def _judge(group: Sequence[_Seen], parts: Sequence[FloatArray]) -> Iterable[list[Result]]:
    """Results for slices of one snapshot and view, given the features of each."""
    snapshot, used = group[0].slice.snapshot, group[0].view
    features = np.concatenate(parts)
    scores = np.exp(used.head.log_posteriors(features))
    novelty = snapshot.novelty(features, used.row)
    start = 0
    for one in group:
        stop = start + len(one.batch)
        top = [best(scores[i], used, one.slice.work.top_k) for i in range(start, stop)]
        far = [None] * len(top) if novelty is None else novelty[start:stop].tolist()
        yield [Result(*pair) for pair in zip(far, top, strict=True)]
        start = stop


def best(scores: FloatArray, used: View, top_k: int) -> list[Prediction]:
    """The `top_k` best of scores (C,), best first; equal scores in the order of the classes."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    chosen = ((used.classes[column], float(scores[column])) for column in order)
    return [Prediction(task, label, score) for (task, label), score in chosen]
