"""How faithfully each eviction rule compresses a full queue: seven unlike tasks (docs/eviction.md).

Every task trains its own prompt; the seven are concatenated and compressed. Measured are the
attention's output on queries of test texts, and the accuracy of heads fitted on few kept rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from backbones import Input, Prefix, Queries, TrainableBackbone, load
from backbones.lower import LowerStates
from benchmarks.cl_tasks import SingleTask
from benchmarks.json_file import write_json
from benchmarks.measures import spread
from benchmarks.named_streams import FEWER_SHOTS, NLP7, SHOTS
from benchmarks.streams import Example, StreamTask
from learner.arrays import FloatArray, IntArray
from learner.eviction import RULES, WITH_QUERIES, EvictionContext, attention_error
from learner.heads.logistic import fit_logistic
from learner.methods.base import Lesson
from learner.methods.config import SequentialConfig
from learner.methods.sequential import Sequential
from learner.rows import Rows, concat, fresh

KEPT = 16
"""Rows a class that stay for heads and for the queries rules fit on."""
MAX_LENGTH = 96
FITTED_QUERIES = 600
"""A head; what a learner samples (QTuningConfig.eviction_queries)."""
QUERIES_PER_TEXT = 4
HELD_OUT_TEXTS = 120
"""Test texts a task that held-out queries come from."""
JUDGED = 200
"""Test rows a task that accuracies are measured on; the same for every rule and seed."""
KEEPS = (30, 10)
CAPACITY = 40
"""Rows of the sequential queue, evicted to 30 before each task that finds it full."""


@dataclass(frozen=True, eq=False)
class PromptedTask:
    """A task's rows below the prompted layers, labels from 0, and the prompt it trained alone."""

    name: str
    train: LowerStates
    labels: IntArray
    test: LowerStates
    answers: IntArray
    prompt: Rows

    @property
    def classes(self) -> int:
        """How many labels the task has."""
        return int(self.labels.max()) + 1

    @cached_property
    def kept(self) -> NDArray[np.int64]:
        """Indices of the first `KEPT` training rows of each class, ascending."""
        firsts = [np.flatnonzero(self.labels == label)[:KEPT] for label in range(self.classes)]
        return np.sort(np.concatenate(firsts)).astype(np.int64)


@dataclass(frozen=True)
class EvictionRow:
    """One rule on one seed; accuracies are means over tasks, fractions. keep: rows left."""

    seed: int
    rule: str
    protocol: str
    keep: int
    error: float
    class_incremental: float
    task_given: float
    cpu_seconds: float


def nlp_backbone(name: str = "minilm") -> TrainableBackbone:
    """The encoder of these measurements."""
    return load(name, max_length=MAX_LENGTH, threads=1)


def prompted_tasks(
    data: Path, backbone: TrainableBackbone, seed: int, prompts: Path | None = None
) -> list[PromptedTask]:
    """The seven tasks; prompts found in the folder `prompts` are not trained again."""
    shots = {name: FEWER_SHOTS.get(name, SHOTS) for name in NLP7}
    dealt = (SingleTask.load(data, name).deal(shots=shots[name], seed=seed) for name in NLP7)
    return [_prompted(task, backbone, seed, prompts) for task in dealt]


def _prompted(
    task: StreamTask, backbone: TrainableBackbone, seed: int, prompts: Path | None
) -> PromptedTask:
    numbers = {label: i for i, label in enumerate(sorted({row.label for row in task.train}))}
    labels, answers = (
        np.array([numbers[row.label] for row in part]) for part in (task.train, task.test)
    )
    inputs, test = (backbone.preprocess(_inputs(part)) for part in (task.train, task.test))
    lower = backbone.lower(inputs)
    lesson = Lesson(task.name, inputs, labels, len(numbers), lower=lower, seed=seed)
    path = None if prompts is None else prompts / f"{task.name}-{seed}.npy"
    prompt = _prompt(lesson, backbone, path)
    return PromptedTask(task.name, lower, labels, backbone.lower(test), answers, prompt)


def _inputs(rows: Sequence[Example]) -> list[Input]:
    return [Input(text=row.text, text_pair=row.text_pair) for row in rows]


def _prompt(lesson: Lesson, backbone: TrainableBackbone, path: Path | None) -> Rows:
    """Ten rows trained on this task alone, or those stored at `path`."""
    if path is not None and path.exists():
        return fresh(np.load(path))
    method = Sequential(SequentialConfig())
    rows = method.train(lesson, method.start(backbone.description), backbone, ignore).served
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rows.values)
    return rows


def ignore(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    """Progress of a training that nobody watches."""


def seen(backbone: TrainableBackbone, lower: LowerStates, prefix: Prefix) -> FloatArray:
    """Features (N, D) under `prefix`, computed as training does."""
    return backbone.encode_lower_layers(lower, prefix, half=True)[:, -1]


def first_rows(lower: LowerStates, count: int) -> LowerStates:
    """The first `count` examples, or all."""
    return lower.select(np.arange(min(count, len(lower))))


def queries_of(
    backbone: TrainableBackbone, tasks: Sequence[PromptedTask], rows: Rows, seed: int
) -> list[Queries]:
    """About `FITTED_QUERIES` a head, of kept rows of all `tasks` under `rows`."""
    kept = LowerStates.concat([task.train.select(task.kept) for task in tasks])
    wanted = min(len(kept), FITTED_QUERIES // QUERIES_PER_TEXT)
    chosen = np.random.default_rng(seed).permutation(len(kept))[:wanted]
    each = -(-FITTED_QUERIES // wanted)
    return backbone.queries(kept.select(chosen), rows.to_prefix(), each, seed)


def held_out_queries(
    backbone: TrainableBackbone, tasks: Sequence[PromptedTask], rows: Rows, seed: int
) -> list[Queries]:
    """Queries of test texts of all tasks under `rows`."""
    lower = LowerStates.concat([first_rows(task.test, HELD_OUT_TEXTS) for task in tasks])
    return backbone.queries(lower, rows.to_prefix(), QUERIES_PER_TEXT, seed + 100)


def accuracies(
    backbone: TrainableBackbone, tasks: Sequence[PromptedTask], rows: Rows
) -> tuple[float, float]:
    """Class-incremental and task-given accuracy under `rows`, heads fitted on the kept rows.

    Heads are logistic regressions: one over the classes of all tasks, and one for each task.
    """
    prefix = rows.to_prefix()
    kept = [seen(backbone, task.train.select(task.kept), prefix) for task in tasks]
    test = [seen(backbone, first_rows(task.test, JUDGED), prefix) for task in tasks]
    answers = [task.answers[:JUDGED] for task in tasks]
    first = np.cumsum([0, *(task.classes for task in tasks)])
    labels = [task.labels[task.kept] for task in tasks]
    shifted = np.concatenate([own + start for own, start in zip(labels, first, strict=False)])
    head = fit_logistic(np.concatenate(kept), shifted, int(first[-1]))
    unnamed, named = [], []
    for i, task in enumerate(tasks):
        unnamed.append(np.mean(head.scores(test[i]).argmax(axis=1) == answers[i] + first[i]))
        own = fit_logistic(kept[i], labels[i], task.classes)
        named.append(np.mean(own.scores(test[i]).argmax(axis=1) == answers[i]))
    return float(np.mean(unnamed)), float(np.mean(named))


@dataclass(frozen=True, eq=False)
class FullQueue:
    """The seven prompts in one queue, and what they are compared on."""

    backbone: TrainableBackbone
    tasks: Sequence[PromptedTask]
    seed: int

    @cached_property
    def rows(self) -> Rows:
        """All prompts, in order."""
        return concat([task.prompt for task in self.tasks])

    @cached_property
    def fitted_on(self) -> list[Queries]:
        """Queries of kept rows under all rows."""
        return queries_of(self.backbone, self.tasks, self.rows, self.seed)

    @cached_property
    def held_out(self) -> list[Queries]:
        """Queries of test rows under all rows."""
        return held_out_queries(self.backbone, self.tasks, self.rows, self.seed)

    def at_once(self, rule: str, keep: int) -> Rows:
        """All rows, evicted in one step."""
        return RULES[rule](self.rows, keep, EvictionContext(self.fitted_on, self.seed)).rows

    def in_turn(self, rule: str, keep: int) -> Rows:
        """Evicted to `keep` rows each time that a task has filled the queue."""
        queue = self.rows.empty()
        for i, task in enumerate(self.tasks):
            queue = concat([queue, task.prompt])
            if len(queue) >= CAPACITY:
                queries = self._seen_so_far(rule, i, queue)
                queue = RULES[rule](queue, keep, EvictionContext(queries, self.seed)).rows
        return queue

    def _seen_so_far(self, rule: str, last: int, queue: Rows) -> list[Queries] | None:
        """Queries of the tasks up to `last` under the queue, where the rule looks at any."""
        if rule not in WITH_QUERIES:
            return None
        return queries_of(self.backbone, self.tasks[: last + 1], queue, self.seed + last)

    def judge(
        self, rule: str, protocol: str, keep: int, compress: Callable[[], Rows]
    ) -> EvictionRow:
        """The measurements of what `compress` leaves."""
        start = time.process_time()
        left = compress()
        spent = time.process_time() - start
        error = attention_error(self.rows, left, self.held_out)
        marks = accuracies(self.backbone, self.tasks, left)
        return EvictionRow(self.seed, rule, protocol, keep, error, *marks, cpu_seconds=spent)


Case = tuple[str, str, int]
"""Rule, protocol and rows left."""


def cases(rules: Iterable[str]) -> Iterator[Case]:
    """All that is measured on a seed, the untouched queue first."""
    yield "none", "at once", len(NLP7) * SequentialConfig().rows
    for rule in rules:
        yield from ((rule, "at once", keep) for keep in KEEPS)
        yield rule, "in turn", KEEPS[0]


def run(
    seeds: Iterable[int],
    data: Path,
    *,
    rules: Iterable[str] = tuple(RULES),
    backbone: str = "minilm",
    json_path: Path | None = None,
    prompts: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[EvictionRow]:
    """Every case of `rules` on every seed; finished ones found in `json_path` are not run again.

    data: the folder above the data sets; prompts: where trained prompts are kept and found.
    """
    rows = _stored(json_path)
    done = {(row.seed, row.rule, row.protocol, row.keep) for row in rows}
    encoder, wanted = nlp_backbone(backbone), list(cases(rules))
    for seed in seeds:
        missing = [case for case in wanted if (seed, *case) not in done]
        if not missing:
            continue
        queue = FullQueue(encoder, prompted_tasks(data, encoder, seed, prompts), seed)
        for case in missing:
            rows.append(_measure(queue, *case))
            say(f"seed {seed}: {rows[-1]}")
            _store(json_path, rows)
    return rows


def _measure(queue: FullQueue, rule: str, protocol: str, keep: int) -> EvictionRow:
    if rule == "none":
        return queue.judge(rule, protocol, keep, lambda: queue.rows)
    _ = queue.fitted_on  # not part of what evicting costs
    evict = queue.in_turn if protocol == "in turn" else queue.at_once
    return queue.judge(rule, protocol, keep, lambda: evict(rule, keep))


def _stored(path: Path | None) -> list[EvictionRow]:
    if path is None or not path.exists():
        return []
    return [EvictionRow(**row) for row in orjson.loads(path.read_bytes())["rows"]]


def _store(path: Path | None, rows: Sequence[EvictionRow]) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"rows": [asdict(row) for row in rows]}
    write_json(path, content)


def markdown(rows: Sequence[EvictionRow]) -> str:
    """One line a case: error, class-incremental / task-given accuracy, mean ± spread over seeds."""
    groups: dict[Case, list[EvictionRow]] = {}
    for row in rows:
        groups.setdefault((row.rule, row.protocol, row.keep), []).append(row)
    lines = [
        "| rule | rows left | error | class-incremental | task given | seeds |",
        "|" + "-|" * 6,
    ]
    for (rule, protocol, keep), of in groups.items():
        error = "{:.3f} ± {:.3f}".format(*spread([row.error for row in of]))
        marks = (
            "{:.1f} ± {:.1f}".format(*spread([100 * value for value in values]))
            for values in ([row.class_incremental for row in of], [row.task_given for row in of])
        )
        left = f"{keep}, in turn" if protocol == "in turn" else f"{keep}"
        lines.append(f"| `{rule}` | {left} | {error} | {' | '.join(marks)} | {len(of)} |")
    return "\n".join(lines)
