"""What fewer prompts than domains are worth: seven unlike tasks, routed (docs/eviction.md).

The router and the heads of seven prompts stay as they are; only the prompts are replaced, all by
one or the two most alike by one, distilled on kept rows or compressed by an eviction rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import orjson

from backbones import Prefix, TrainableBackbone
from backbones.lower import LowerStates
from benchmarks.eviction import (
    PromptedTask,
    ignore,
    nlp_backbone,
    prompted_tasks,
    queries_of,
    seen,
)
from benchmarks.json_file import write_json
from benchmarks.measures import spread
from learner.arrays import FloatArray, IntArray
from learner.consolidation import consolidate, most_alike
from learner.domains import fit_router
from learner.eviction import RULES, EvictionContext
from learner.heads.linear import LinearHead
from learner.heads.logistic import fit_logistic
from learner.rows import concat

ONE_FOR_ALL = 20
"""Rows of the one prompt for all tasks."""
ONE_FOR_TWO = 10
"""Rows of the one prompt for the two most alike: those of each before."""


@dataclass(frozen=True)
class ConsolidationRow:
    """One case on one seed; accuracies are means over tasks, fractions.

    routed and task_given: heads stored from the old prompts, without prompts those fitted on all
    rows without; refitted: heads fitted on the kept rows under the new. cosine: of the features of
    kept rows to those under their own prompts.
    """

    seed: int
    case: str
    routed: float
    task_given: float
    refitted_routed: float
    refitted_task_given: float
    cosine: float
    router: float
    pair: str
    cpu_seconds: float


@dataclass(frozen=True, eq=False)
class SevenPrompts:
    """What is stored after seven tasks: prompts, heads on all rows, the router; and test rows."""

    backbone: TrainableBackbone
    tasks: Sequence[PromptedTask]
    seed: int

    @cached_property
    def prompts(self) -> list[Prefix]:
        """Each task's own."""
        return [task.prompt.to_prefix() for task in self.tasks]

    @cached_property
    def heads(self) -> list[LinearHead]:
        """What is stored beside the prompts."""
        return self.heads_under(self.prompts)

    def heads_under(self, prefixes: Sequence[Prefix]) -> list[LinearHead]:
        """Logistic regressions on all training rows, each task under its prefix."""
        return [
            _fit(seen(self.backbone, task.train, prefix), task.labels, task)
            for task, prefix in zip(self.tasks, prefixes, strict=True)
        ]

    @cached_property
    def routes(self) -> list[IntArray]:
        """The task that the router sends each test row of each task to."""
        router = fit_router([[_pooled(task.train)] for task in self.tasks])
        return [router.scores(_pooled(task.test)).argmax(axis=1) for task in self.tasks]

    @cached_property
    def kept(self) -> list[LowerStates]:
        """Each task's kept rows."""
        return [task.train.select(task.kept) for task in self.tasks]

    @cached_property
    def teachers(self) -> list[FloatArray]:
        """Features of the kept rows under their own prompts."""
        return [seen(self.backbone, *pair) for pair in zip(self.kept, self.prompts, strict=True)]

    @cached_property
    def pair(self) -> tuple[int, int]:
        """The two prompts that act most alike on all kept rows."""
        kept = LowerStates.concat(self.kept)
        return most_alike(np.stack([seen(self.backbone, kept, p) for p in self.prompts]))

    @property
    def everything(self) -> range:
        """All tasks."""
        return range(len(self.tasks))

    def distilled(self, members: Sequence[int], rows: int) -> Prefix:
        """One prompt for these tasks, trained on their kept rows."""
        lower = LowerStates.concat([self.kept[i] for i in members])
        teachers = np.concatenate([self.teachers[i] for i in members])
        seed = self.seed
        return consolidate(self.backbone, lower, teachers, rows, seed=seed, report=ignore)

    def compressed(self, rule: str, members: Sequence[int], rows: int) -> Prefix:
        """These tasks' prompts in one queue, evicted to so many rows."""
        chosen = [self.tasks[i] for i in members]
        queue = concat([task.prompt for task in chosen])
        queries = queries_of(self.backbone, chosen, queue, self.seed)
        return RULES[rule](queue, rows, EvictionContext(queries, self.seed)).rows.to_prefix()

    def replaced(self, members: Sequence[int], prompt: Prefix) -> list[Prefix]:
        """Each task's prompt, where `prompt` stands for those of `members`."""
        return [prompt if i in members else own for i, own in enumerate(self.prompts)]

    def measure(self, case: str) -> ConsolidationRow:
        """The accuracies where each task is seen under its prefix of the case."""
        pair = "+".join(self.tasks[i].name for i in self.pair)
        _ = self.teachers
        start = time.process_time()
        prefixes = CASES[case](self)
        spent = time.process_time() - start
        kept = [seen(self.backbone, *pair) for pair in zip(self.kept, prefixes, strict=True)]
        test = [self._test(i, prefix) for i, prefix in enumerate(prefixes)]
        new = [_fit(f, t.labels[t.kept], t) for f, t in zip(kept, self.tasks, strict=True)]
        cosines = [(a * b).sum(axis=1).mean() for a, b in zip(kept, self.teachers, strict=True)]
        hits = [np.mean(routes == i) for i, routes in enumerate(self.routes)]
        stored = self.heads_under(prefixes) if case == "frozen" else self.heads
        marks = (*self._marks(test, stored), *self._marks(test, new))
        means = float(np.mean(cosines)), float(np.mean(hits))
        return ConsolidationRow(self.seed, case, *marks, *means, pair, spent)

    @cached_property
    def _own(self) -> list[FloatArray]:
        """Features of the test rows under their own prompts."""
        parts = zip(self.tasks, self.prompts, strict=True)
        return [seen(self.backbone, task.test, prompt) for task, prompt in parts]

    def _test(self, task: int, prefix: Prefix) -> FloatArray:
        if prefix is self.prompts[task]:
            return self._own[task]
        return seen(self.backbone, self.tasks[task].test, prefix)

    def _marks(
        self, test: Sequence[FloatArray], heads: Sequence[LinearHead]
    ) -> tuple[float, float]:
        """Accuracy routed, where a wrong route is a wrong answer, and with the task given."""
        right = [
            head.scores(features).argmax(axis=1) == task.answers
            for head, features, task in zip(heads, test, self.tasks, strict=True)
        ]
        routed = [np.mean(own & (self.routes[i] == i)) for i, own in enumerate(right)]
        return float(np.mean(routed)), float(np.mean([np.mean(own) for own in right]))


def _fit(features: FloatArray, labels: IntArray, task: PromptedTask) -> LinearHead:
    return fit_logistic(features, labels, task.classes)


def _pooled(lower: LowerStates) -> FloatArray:
    if lower.pooled is None:
        raise ValueError("the router reads pooled lower states, and this backbone kept none")
    return lower.pooled


Build = Callable[[SevenPrompts], list[Prefix]]


def _all_by(make: Callable[[SevenPrompts], Prefix]) -> Build:
    return lambda stored: [make(stored)] * len(stored.tasks)


def _pair_by(make: Callable[[SevenPrompts], Prefix]) -> Build:
    return lambda stored: stored.replaced(stored.pair, make(stored))


CASES: dict[str, Build] = {
    "seven": lambda s: s.prompts,
    "one, distilled": _all_by(lambda s: s.distilled(s.everything, ONE_FOR_ALL)),
    "frozen": _all_by(lambda s: Prefix.empty(s.backbone.description)),
    "six, distilled": _pair_by(lambda s: s.distilled(s.pair, ONE_FOR_TWO)),
    "six, merge": _pair_by(lambda s: s.compressed("merge", s.pair, ONE_FOR_TWO)),
    "six, pca": _pair_by(lambda s: s.compressed("pca", s.pair, ONE_FOR_TWO)),
    "one, pca": _all_by(lambda s: s.compressed("pca", s.everything, ONE_FOR_ALL)),
    "one, merge": _all_by(lambda s: s.compressed("merge", s.everything, ONE_FOR_ALL)),
}
"""Each case as the prefix that every task is seen under."""


def run(
    seeds: Iterable[int],
    data: Path,
    *,
    backbone: str = "minilm",
    json_path: Path | None = None,
    prompts: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[ConsolidationRow]:
    """Every case on every seed; arguments as in `benchmarks.eviction.run`."""
    rows = _stored(json_path)
    done = {(row.seed, row.case) for row in rows}
    encoder = nlp_backbone(backbone)
    for seed in seeds:
        missing = [case for case in CASES if (seed, case) not in done]
        if not missing:
            continue
        stored = SevenPrompts(encoder, prompted_tasks(data, encoder, seed, prompts), seed)
        for case in missing:
            rows.append(stored.measure(case))
            say(f"seed {seed}: {rows[-1]}")
            if json_path is not None:
                _store(json_path, rows)
    return rows


def _stored(path: Path | None) -> list[ConsolidationRow]:
    if path is None or not path.exists():
        return []
    return [ConsolidationRow(**row) for row in orjson.loads(path.read_bytes())["rows"]]


def _store(path: Path, rows: Sequence[ConsolidationRow]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"rows": [asdict(row) for row in rows]}
    write_json(path, content)


MARKS = ("routed", "task_given", "refitted_routed", "refitted_task_given")


def markdown(rows: Sequence[ConsolidationRow]) -> str:
    """One line a case, mean ± spread over seeds."""
    lines = [
        "| prompts | routed | task given | refitted, routed | refitted, task given | cos | CPU s |",
        "|" + "-|" * 7,
    ]
    for case in dict.fromkeys(row.case for row in rows):
        of = [row for row in rows if row.case == case]
        marks = [
            "{:.1f} ± {:.1f}".format(*spread([100 * getattr(row, mark) for row in of]))
            for mark in MARKS
        ]
        cosine, _ = spread([row.cosine for row in of])
        seconds, _ = spread([row.cpu_seconds for row in of])
        lines.append(f"| {case} | {' | '.join(marks)} | {cosine:.3f} | {seconds:.1f} |")
    return "\n".join(lines)
