"""One pass: slices of many requests, tasks and versions through the backbone to their results.

Versions that are served in int8 and those in fp32 take a pass each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from backbones import (
    Backbone,
    Bank,
    FloatArray,
    Input,
    IntArray,
    InvalidInput,
    Prefix,
    Preprocessed,
)
from learner import spans
from learner.content import ROUTED
from learner.heads.passed import Passed
from learner.sight import Seen
from serving.precision import Engines
from serving.prediction_ids import prediction_id
from serving.problems import Problem, invalid
from serving.snapshot import Snapshot, View


class Prediction(NamedTuple):
    """One class and its calibrated score between 0 and 1."""

    task: str
    label: str
    score: float


class Result(NamedTuple):
    """The answer to one input: its name, how far it lies from everything learnt, best first."""

    id: str
    novelty: float | None
    predictions: list[Prediction]


@dataclass(frozen=True)
class Work:
    """What one request asks.

    read: the same inputs preprocessed
    pinned: the snapshot it names, None for the one that is current
    patient: whether other work goes first
    """

    inputs: Sequence[Input]
    read: Preprocessed
    task: str | None = None
    top_k: int = 5
    pinned: Snapshot | None = None
    patient: bool = False


@dataclass(frozen=True)
class Slice:
    """The inputs of a work at the positions `index`, to be answered by one snapshot."""

    work: Work
    snapshot: Snapshot
    index: IntArray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def inputs(self) -> Sequence[Input]:
        return [self.work.inputs[i] for i in self.index.tolist()]


@dataclass(frozen=True)
class _Read:
    """A slice that passed preprocessing.

    pairs: the inputs of it that are pairs, and their two texts alone; None where nobody asks.
    """

    slice: Slice
    batch: Preprocessed
    pairs: _Pairs | None


@dataclass(frozen=True)
class _Pairs:
    """index: (n,) which inputs are pairs; texts: 2n, the first ones and then the second ones."""

    index: IntArray
    texts: Preprocessed


class ForwardPass:
    """The function the batcher's worker thread calls."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._nothing = Bank.stack([Prefix.empty(engines.usual.description)])

    def __call__(self, slices: Sequence[Slice]) -> Sequence[Sequence[Result] | Exception]:
        """For each slice the results of its inputs, or the Problem with it."""
        outcomes: list[Sequence[Result] | Exception] = [[] for _ in slices]
        reads: dict[Backbone, list[tuple[int, _Read]]] = defaultdict(list)
        for place, one in enumerate(slices):
            try:
                check(one.snapshot, one.work.task)
                read = self._read(one)
            except Problem as problem:
                outcomes[place] = problem
            else:
                reads[self._engines.choose(one.snapshot.manifest).backbone].append((place, read))
        for engine, group in reads.items():
            places, passed = zip(*group, strict=True)
            for place, results in zip(places, self._answer(passed, engine), strict=True):
                outcomes[place] = results
        return outcomes

    def _read(self, one: Slice) -> _Read:
        batch = one.work.read.select(one.index)
        return _Read(one, batch, self._pairs(one) if one.snapshot.content.sees_apart else None)

    def _pairs(self, asked: Slice) -> _Pairs | None:
        inputs = asked.inputs
        index = [i for i, one in enumerate(inputs) if one.text_pair is not None]
        if not index:
            return None
        texts = [Input(text=inputs[i].text) for i in index]
        texts += [Input(text=inputs[i].text_pair) for i in index]
        try:
            return _Pairs(np.array(index, np.int64), self._engines.usual.preprocess(texts))
        except InvalidInput as error:
            raise invalid("#/inputs", str(error)) from error

    def _answer(self, reads: Sequence[_Read], engine: Backbone) -> list[list[Result]]:
        """The results of each slice."""
        with spans.span("encode"):
            seen, rows = self._see(reads, engine)
        with spans.span("head"):
            return self._judged(reads, seen, rows)

    def _judged(self, reads: Sequence[_Read], seen: Seen, rows: IntArray) -> list[list[Result]]:
        """Inputs of one view share one use of its head."""
        asked = [read.slice for read in reads for _ in range(len(read.batch))]
        shares = _shares(asked, seen, rows)
        groups: dict[int, list[int]] = defaultdict(list)
        views = [
            one.snapshot.view(one.work.task, row)
            for one, row in zip(asked, rows.tolist(), strict=True)
        ]
        for index, used in enumerate(views):
            groups[id(used)].append(index)
        results: dict[int, Result] = {}
        passed = Passed(seen)
        for members in groups.values():
            used = views[members[0]]
            scores = np.exp(used.head.log_posteriors_of(passed, members)) * shares[members, None]
            novelty, features = used.novelty, seen.features[members]
            far = None if novelty is None else novelty.quantiles(features).tolist()
            for place, index in enumerate(members):
                one = asked[index]
                top = best(scores[place], used, one.work.top_k)
                name = _name(top[0], one.snapshot)
                results[index] = Result(name, None if far is None else far[place], top)
        return _dealt(results, reads)

    def _see(self, reads: Sequence[_Read], engine: Backbone) -> tuple[Seen, IntArray]:
        """What an engine sees in all inputs in order, and the row each went through.

        One pass for all versions, tasks and pairs. Rows count from each version's own first.
        """
        banks = self._banks([read.slice.snapshot for read in reads])
        whole = [read.batch for read in reads]
        alone = [read for read in reads if read.pairs is not None]
        rows = [
            np.full(len(read.batch), banks.row(read.slice.snapshot, read.slice.work.task))
            for read in reads
        ] + [
            np.full(len(read.pairs.texts), banks.plain_row(read.slice.snapshot))
            for read in alone
            if read.pairs is not None
        ]
        texts = [read.pairs.texts for read in alone if read.pairs is not None]
        used = None if banks.bank is None else np.concatenate(rows)
        states = engine.encode_layers(Preprocessed.concat(whole + texts), banks.bank, used)
        count = sum(len(batch) for batch in whole)
        apart = _apart(reads, states.features[count:]) if alone else None
        first = np.concatenate(
            [np.full(len(read.batch), banks.first(read.slice.snapshot)) for read in reads]
        )
        return Seen(states.pooled[:count], apart), states.rows[:count] - first

    def _banks(self, snapshots: Sequence[Snapshot]) -> _Banks:
        """Of one version its own bank as it is, so that an engine may keep it on its device."""
        distinct = list({id(snapshot): snapshot for snapshot in snapshots}.values())
        if len(distinct) == 1:
            return _Banks(distinct[0].bank, {id(distinct[0]): (0, 0)})
        banks = [snapshot.bank or self._nothing for snapshot in distinct]
        places: dict[int, tuple[int, int]] = {}
        rows = routers = 0
        for snapshot, bank in zip(distinct, banks, strict=True):
            places[id(snapshot)] = (rows, routers)
            rows, routers = rows + len(bank), routers + len(bank.routers)
        return _Banks(Bank.concat(banks), places)


@dataclass(frozen=True)
class _Banks:
    """The banks of the versions in a pass as one. places: first row and first router of each."""

    bank: Bank | None
    places: Mapping[int, tuple[int, int]]

    def first(self, snapshot: Snapshot) -> int:
        return self.places[id(snapshot)][0]

    def row(self, snapshot: Snapshot, task: str | None) -> int:
        """What the backbone is told: a row, or which router decides."""
        rows, routers = self.places[id(snapshot)]
        row = snapshot.row(task)
        return -1 - routers if row == ROUTED else rows + row

    def plain_row(self, snapshot: Snapshot) -> int:
        """The row without a prompt; any, where no version in the pass has one."""
        rows, _ = self.places[id(snapshot)]
        return rows + (0 if snapshot.bank is None else snapshot.content.plain_row)


def _apart(reads: Sequence[_Read], features: FloatArray) -> FloatArray:
    """(N, 2, D): the features of both texts of each pair alone, zeros for what is no pair."""
    count = sum(len(read.batch) for read in reads)
    apart = np.zeros((count, 2, features.shape[1]), np.float32)
    first, taken = 0, 0
    for read in reads:
        if read.pairs is not None:
            pairs = len(read.pairs.index)
            apart[first + read.pairs.index, 0] = features[taken : taken + pairs]
            apart[first + read.pairs.index, 1] = features[taken + pairs : taken + 2 * pairs]
            taken += 2 * pairs
        first += len(read.batch)
    return apart


def _shares(asked: Sequence[Slice], seen: Seen, rows: IntArray) -> FloatArray:
    """(N,) the probability of the domain each input was routed to; 1 where none was asked for."""
    shares = np.ones(len(rows), np.float32)
    routed: dict[int, list[int]] = defaultdict(list)
    for index, one in enumerate(asked):
        if one.snapshot.row(one.work.task) == ROUTED:
            routed[id(one.snapshot)].append(index)
    for members in routed.values():
        router = asked[members[0]].snapshot.content.router
        assert router is not None, "only a router routes"
        lower = seen.states[members, : len(router.weights)]
        posteriors = np.exp(router.log_posteriors(lower))
        shares[members] = posteriors[np.arange(len(members)), rows[members]]
    return shares


def _name(first: Prediction, snapshot: Snapshot) -> str:
    return prediction_id(snapshot.manifest, snapshot.places[first.task, first.label])


def _dealt(results: Mapping[int, Result], reads: Sequence[_Read]) -> list[list[Result]]:
    ends = np.cumsum([len(read.batch) for read in reads]).tolist()
    starts = [0, *ends[:-1]]
    return [[results[i] for i in range(*span)] for span in zip(starts, ends, strict=True)]


def check(snapshot: Snapshot, task: str | None) -> None:
    """Whether a snapshot can answer for this task. Raises Problem: no-classes, unknown-task."""
    if snapshot.is_empty:
        raise no_classes()
    if task is not None and task not in snapshot.tasks:
        raise Problem(
            "unknown-task",
            f"version {snapshot.version} knows no task {task!r}; "
            "GET /v1/tasks lists those it knows",
            version=snapshot.version,
        )


def no_classes(pending: int = 0) -> Problem:
    """Nothing has been learnt yet. pending: how many batches wait to be learnt."""
    if pending:
        batches = "1 batch is" if pending == 1 else f"{pending} batches are"
        return Problem(
            "no-classes",
            f"this server knows no classes yet; {batches} being learnt. Ask again in a second, or "
            "in some ten where the server has just started: its learner is loading",
            retry_after=1,
        )
    return Problem(
        "no-classes",
        "this server knows no classes yet; POST labelled examples to /v1/tasks/{task}/examples",
    )


def best(scores: FloatArray, used: View, top_k: int) -> list[Prediction]:
    """The `top_k` best of scores (C,), best first; equal scores in the order of the classes."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    chosen = ((used.classes[column], float(scores[column])) for column in order)
    return [Prediction(task, label, score) for (task, label), score in chosen]
