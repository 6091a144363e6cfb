"""How often the gate lets helpful candidates pass, and harmful ones not (docs/benchmarks.md).

A trial learns one task as a learner does: it trains a candidate, with the labels that are right or
with shuffled ones, and puts it before the real gate. What the candidate is worth is measured on
test rows that neither training nor the gate sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import binomtest

from backbones import Prefix, TrainableBackbone
from backbones.lower import LowerStates
from benchmarks.cl_tasks import SingleTask
from benchmarks.eviction import ignore
from benchmarks.json_file import read_json, write_json
from benchmarks.markdown import markdown_table
from benchmarks.stream import as_batch
from benchmarks.streams import Dataset, Example, StreamTask
from learner.config import LearnerConfig
from learner.content import class_id
from learner.encoding import ExampleEncoder
from learner.expression import express
from learner.knowledge import Knowledge, under
from learner.methods.adapted import HALF, DomainPrompt
from learner.methods.base import Lesson, MethodState, Progress
from learner.refresh import learn_batch, refit
from learner.rows import fresh
from learner.sight import Seen
from learner.training import decide, start_state, train_prompt

Labels = Literal["right", "shuffled"]
Kind = Literal["helpful", "neutral", "harmful"]
LABELS: tuple[Labels, ...] = ("right", "shuffled")
KINDS: tuple[Kind, ...] = ("helpful", "neutral", "harmful")

WORTH = 0.01
"""A candidate taught rightly that gains so much test accuracy helps; one that loses it harms."""
SIZES = (WORTH, 0.02, 0.04, 1.0)
"""Helpful candidates are told apart by these gains."""
TESTS = 1000
"""Test rows that say what a candidate is worth, at most."""
SHOTS = {"SST-2": 48, "agnews": 24, "amazon": 20, "yahoo": 10, "clinc150": 8, "banking77": 10}
"""Training examples a class: about a hundred a task."""
INTENTS = {"clinc150": 10, "banking77": 7}
"""Tasks that the classes of an intent data set are dealt into; a trial learns one of them."""


@dataclass(frozen=True)
class Mistaught(DomainPrompt):
    """The default method, taught with labels that are dealt anew."""

    def train(
        self, lesson: Lesson, state: MethodState, backbone: TrainableBackbone, report: Progress
    ) -> MethodState:
        """As the default method, with as many rows of each label as there were."""
        shuffled = np.random.default_rng(lesson.seed).permutation(lesson.labels)
        return super().train(replace(lesson, labels=shuffled), state, backbone, report)


@dataclass(frozen=True)
class TrialRow:
    """One candidate. before, after: test accuracy without and with it; rows: those that judged."""

    task: str
    seed: int
    labels: Labels
    accepted: bool
    reason: str
    p_value: float
    rows: int
    before: float
    after: float
    tests: int

    @property
    def gain(self) -> float:
        """Test accuracy that it wins, a fraction."""
        return self.after - self.before

    @property
    def kind(self) -> Kind:
        """By what it is worth. What was taught shuffled labels and gains all the same is lucky."""
        if self.gain <= -WORTH:
            return "harmful"
        return "helpful" if self.gain >= WORTH and self.labels == "right" else "neutral"


def task_of(data: Path, name: str, seed: int) -> StreamTask:
    """The training rows of one trial, and at most `TESTS` test rows."""
    if name not in INTENTS:
        return SingleTask.load(data, name).deal(shots=SHOTS[name], seed=seed, tests=TESTS)
    stream = Dataset.load(data / name).stream(tasks=INTENTS[name], shots=SHOTS[name], seed=seed)
    return stream.tasks[0]


@dataclass(eq=False)
class Trials:
    """Trials with one backbone. Prompts found in the folder `prompts` are not trained again."""

    backbone: TrainableBackbone
    config: LearnerConfig
    prompts: Path | None = None
    _tests: tuple[tuple[Example, ...], LowerStates, Seen] | None = None

    def run(self, task: StreamTask, seed: int) -> Iterator[TrialRow]:
        """Candidates taught rightly and wrongly, for a task that is the first of its domain."""
        config = self.config.model_copy(update={"seed": seed})
        encoder = ExampleEncoder(self.backbone)
        start = learn_batch(Knowledge(), as_batch(task), encoder)
        knowledge = refit(start, config, encoder)
        before = self._accuracy(knowledge, task, None, encoder, config)
        for labels in LABELS:
            state = self._trained(knowledge, task.name, labels, encoder, config)
            method = DomainPrompt(config.auto)
            decision = decide(knowledge, task.name, state, method, encoder, config)
            assert decision.trial is not None, "so few rows are not screened"
            verdict = decision.trial.verdict
            yield TrialRow(
                task=task.name,
                seed=seed,
                labels=labels,
                accepted=verdict.accepted,
                reason=verdict.reason,
                p_value=verdict.p_value,
                rows=int(verdict.accuracy["rows"]),
                before=before,
                after=self._accuracy(knowledge, task, decision.candidate, encoder, config),
                tests=len(task.test),
            )

    def _trained(
        self,
        knowledge: Knowledge,
        task: str,
        labels: Labels,
        encoder: ExampleEncoder,
        config: LearnerConfig,
    ) -> MethodState:
        """The method's state after the lesson: both halves' prompts and their mean."""
        method = (DomainPrompt if labels == "right" else Mistaught)(config.auto)
        state = start_state(knowledge, method, None, self.backbone.description)
        path = None
        if self.prompts is not None:
            path = self.prompts / f"{task}-{config.seed}-{labels}.npz"
        domain = knowledge.domain_of(task).name
        if path is not None and path.exists():
            with np.load(path) as stored:
                halves = {f"{HALF}{number}": stored[f"half{number}"] for number in (0, 1)}
                return replace(state, kept={domain: fresh(stored["mean"])}, extra=halves)
        state = train_prompt(knowledge, task, state, method, encoder, config, ignore)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            halves = {f"half{number}": state.extra[f"{HALF}{number}"] for number in (0, 1)}
            np.savez(path, mean=state.kept[domain].values, **halves)
        return state

    def _accuracy(
        self,
        knowledge: Knowledge,
        task: StreamTask,
        prompt: Prefix | None,
        encoder: ExampleEncoder,
        config: LearnerConfig,
    ) -> float:
        """Share of the test rows that are answered rightly where this prompt serves."""
        domain = knowledge.domain_of(task.name)
        if prompt is not None:
            knowledge = express(knowledge, domain, prompt, encoder)
            served = replace(knowledge.domain_of(task.name), cooling=1.0)
            knowledge = refit(knowledge.with_domain(served), config, encoder)
            domain = knowledge.domain_of(task.name)
        lower, seen = self._test_rows(task)
        if prompt is not None:
            seen = under(seen, self.backbone.encode_lower_layers(lower, prompt, half=True))
        assert domain.head is not None, "refit fits every head"
        columns = {name: column for column, name in enumerate(knowledge.labels_of(domain.tasks))}
        targets = [columns[class_id(task.name, one.label)] for one in task.test]
        return float((domain.head.log_posteriors(seen).argmax(axis=1) == targets).mean())

    def _test_rows(self, task: StreamTask) -> tuple[LowerStates, Seen]:
        """A task's test rows as the plain backbone sees them; the last ones asked for are kept."""
        if self._tests is None or self._tests[0] != task.test:
            inputs = self.backbone.preprocess([one.input for one in task.test])
            lower = self.backbone.lower(inputs)
            assert lower.pooled is not None, "a backbone pools the states it computes"
            upper = self.backbone.encode_lower_layers(
                lower, Prefix.empty(self.backbone.description)
            )
            self._tests = task.test, lower, Seen(np.concatenate([lower.pooled, upper], axis=1))
        return self._tests[1:]


def run(
    names: Sequence[str],
    seeds: Iterable[int],
    data: Path,
    trials: Trials,
    *,
    json_path: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[TrialRow]:
    """Two candidates for each data set and seed; those found in `json_path` are not tried again.

    data: the folder above the data sets.
    """
    rows = _stored(json_path)
    done = {(row.task, row.seed) for row in rows}
    for name, seed in product(names, seeds):
        if (name, seed) in done:
            continue
        rows += trials.run(task_of(data, name, seed), seed)
        for row in rows[-len(LABELS) :]:
            say(f"{name}, seed {seed}, {row.labels} labels: {100 * row.gain:+.1f}, {row.reason}")
        write_json(json_path, {"rows": rows, "summary": summary(rows)})
    return rows


def _stored(path: Path | None) -> list[TrialRow]:
    return [] if path is None or not path.exists() else read_json(path, _Written).rows


@dataclass(frozen=True)
class _Written:
    rows: list[TrialRow]


@dataclass(frozen=True)
class Share:
    """Of some candidates: how many, how many accepted, and Wilson's 95 % interval of the share."""

    candidates: str
    trials: int
    accepted: int
    low: float
    high: float
    gains: tuple[float, float, float]
    """Quartiles of what they are worth on the test rows, fractions."""

    @classmethod
    def of(cls, name: str, rows: Sequence[TrialRow]) -> Share:
        """Raises ValueError on no rows."""
        accepted = sum(row.accepted for row in rows)
        interval = binomtest(accepted, len(rows)).proportion_ci(method="wilson")
        low, middle, high = np.quantile([row.gain for row in rows], (0.25, 0.5, 0.75)).tolist()
        bounds = float(interval.low), float(interval.high)
        return cls(name, len(rows), accepted, *bounds, (low, middle, high))

    @property
    def line(self) -> tuple[str, ...]:
        """For `markdown`."""
        share, low, high = (100 * x for x in (self.accepted / self.trials, self.low, self.high))
        gains = "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * self.gains[i] for i in (1, 0, 2)))
        refused = str(self.trials - self.accepted)
        accepted = f"{share:.0f} % ({low:.0f} to {high:.0f})"
        return self.candidates, str(self.trials), str(self.accepted), refused, accepted, gains


def summary(rows: Sequence[TrialRow]) -> list[Share]:
    """By what candidates are worth, helpful ones also by how much; and by what they were taught."""
    groups: dict[str, list[TrialRow]] = {}
    for kind in KINDS:
        groups[kind] = [row for row in rows if row.kind == kind]
        if kind == "helpful":
            for low, high in pairwise(SIZES):
                name = f"by {100 * low:.0f} to {100 * high:.0f} points"
                groups[name] = [row for row in groups[kind] if low <= row.gain < high]
    for labels in LABELS:
        groups[f"{labels} labels"] = [row for row in rows if row.labels == labels]
    return [Share.of(name, of) for name, of in groups.items() if of]


def markdown(rows: Sequence[TrialRow]) -> str:
    """One line a group of candidates."""
    headings = ("candidates", "trials", "accepted", "refused", "% accepted", "true gain, points")
    return markdown_table(headings, [share.line for share in summary(rows)])
