"""How heads do on frozen features at the end of a stream: one flat head, no task named.

Features come cached, one `.npz` for a data set and seed: for task i `X{i}` (n, L + 1, D) states
and labels `y{i}` to train on, `Z{i}`, `zy{i}` to test on, with `_u`, `_v` the same of a pair's two
texts each alone; `oos`, inputs of no class. All that is chosen is chosen on the training rows.

    python -m benchmarks.heads FOLDER clinc150 banking77 nlp
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner.arrays import FloatArray, IntArray
from learner.heads import FittedViewed, HeadConfig, fit_novelty, fit_viewed
from learner.heads.calibration import Quality
from learner.sight import Seen
from learner.statistics import ClassStatistics

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class HeadRow:
    """One fit, judged on the test sets; shares in 0…1, seconds of this process."""

    name: str
    seed: int
    view: str
    kind: str
    accuracy: float  # mean over tasks
    ece: float
    auroc: float | None  # of novelty, on inputs of no class
    fit_s: float
    refit_s: float  # of the same rows, from the fit as the earlier one


@dataclass(frozen=True)
class Part:
    """Rows of all tasks: targets (N,) index `classes`, tasks (N,) number the tasks."""

    seen: Seen
    targets: IntArray
    tasks: IntArray


def flat(name: str, seed: int, arrays: Arrays, config: HeadConfig) -> HeadRow:
    """One head over the classes of all tasks."""
    classes = _classes(arrays)
    train, test = (_part(arrays, *keys, classes) for keys in (("X", "y"), ("Z", "zy")))
    return measured(name, seed, train, test, classes, config, arrays.get("oos"))


def alone(name: str, seed: int, arrays: Arrays, config: HeadConfig) -> Iterator[HeadRow]:
    """A head for each task: what a request that names it meets."""
    for place, task in enumerate(arrays["tasks"]):
        one = {
            key.replace(str(place), "0", 1): value
            for key, value in arrays.items()
            if key.split("_")[0].lstrip("XZzy") == str(place)
        }
        one["tasks"] = np.array([task])
        yield flat(f"{name}/{task}", seed, one, config)


def measured(
    name: str,
    seed: int,
    train: Part,
    test: Part,
    classes: list[str],
    config: HeadConfig,
    unknown: FloatArray | None,
) -> HeadRow:
    """Fit, refit, and judge on the test rows."""
    start = process_time()
    fitted = fit_viewed(train.seen, train.targets, classes, config)
    between = process_time()
    fit_viewed(train.seen, train.targets, classes, config, warm=fitted)
    end = process_time()
    log_posteriors = fitted.head.log_posteriors(test.seen)
    right = log_posteriors.argmax(axis=1) == test.targets
    accuracy = np.mean([right[test.tasks == task].mean() for task in np.unique(test.tasks)])
    ece = Quality.of(log_posteriors, test.targets).ece
    auroc = None if unknown is None else _auroc(train, test, classes, unknown)
    spent = between - start, end - between
    return HeadRow(name, seed, *_choice(fitted), float(accuracy), ece, auroc, *spent)


def _choice(fitted: FittedViewed) -> tuple[str, str]:
    return fitted.view, fitted.chosen


def _auroc(train: Part, test: Part, classes: list[str], unknown: FloatArray) -> float:
    """Of the last layer's novelty: how often an unknown input gets more than a known one."""
    features = train.seen.features
    novelty = fit_novelty(
        features, train.targets, ClassStatistics.of(features, train.targets, classes)
    )
    assert novelty is not None, "classes with several rows have a novelty"
    known = novelty.scores(test.seen.features)
    strange = np.sort(novelty.scores(unknown[:, -1].astype(np.float32)))
    above = len(strange) - np.searchsorted(strange, known, side="right")
    return float(above.mean() / len(strange))


def _classes(arrays: Arrays) -> list[str]:
    tasks = range(len(arrays["tasks"]))
    return [f"{task}/{label}" for task in tasks for label in sorted(set(arrays[f"y{task}"]))]


def _part(arrays: Arrays, states: str, labels: str, classes: list[str]) -> Part:
    """The rows under these keys of all tasks."""
    index = {label: column for column, label in enumerate(classes)}
    parts, targets, tasks = [], [], []
    for task in range(len(arrays["tasks"])):
        parts.append(_seen(arrays, f"{states}{task}"))
        targets += [index[f"{task}/{label}"] for label in arrays[f"{labels}{task}"]]
        tasks += [task] * len(parts[-1])
    return Part(Seen.concat(parts), np.array(targets), np.array(tasks))


def _seen(arrays: Arrays, key: str) -> Seen:
    apart = None
    if f"{key}_u" in arrays:
        apart = np.stack([arrays[f"{key}_{text}"][:, -1] for text in "uv"], axis=1)
    states = arrays[key].astype(np.float32)
    return Seen(states, None if apart is None else apart.astype(np.float32))


def rows(folder: Path, name: str, config: HeadConfig, seeds: range) -> Iterator[HeadRow]:
    """The rows of one data set; where its tasks have little in common, also of each task alone."""
    for seed in seeds:
        with np.load(folder / f"{name}_s{seed}.npz") as stored:
            arrays = dict(stored)
        yield flat(name, seed, arrays, config)
        if name == "nlp":
            yield from alone(name, seed, arrays, config)


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        for row in rows(Path(sys.argv[1]), wanted, HeadConfig(), range(3)):
            print(asdict(row), flush=True)
