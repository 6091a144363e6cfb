"""Streams with a name, made from several data sets below one folder."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cl_tasks import TEST_ROWS, SingleTask
from benchmarks.streams import Dataset, Stream, StreamTask

NLP7 = ("SST-2", "QQP", "RTE", "agnews", "amazon", "yahoo", "WiC")
CL_ORDER = (
    *("MNLI", "CB", "WiC", "COPA", "QQP", "BoolQA", "RTE"),
    *("amazon", "SST-2", "dbpedia", "agnews", "yahoo"),
)
"""Order 4 of the CL benchmark's 15 tasks; IMDB, Yelp and MultiRC lack test rows here."""
SHOTS = 64
FEWER_SHOTS = {"yahoo": 32}
HALF_TESTS = 150
"""Test rows a task of `nlp7-half`."""
INTENT_SHOTS = 16
INTENTS = {"banking77": 7, "clinc150": 10}
"""Tasks that each intent data set is dealt into."""
IMAGE_SHOTS = 20
IMAGES = {"cifar100_subset": 10, "clothing_small": 2}
"""Tasks that each image data set is dealt into: of 10 and of 5 classes."""


def nlp7(data: Path, seed: int) -> Stream:
    """Sentiment, paraphrase, entailment, topics, stars, questions and word sense."""
    return Stream("nlp7", seed, _shuffled(_single_tasks(data, NLP7, seed), seed))


def nlp7_half(data: Path, seed: int) -> Stream:
    """nlp7 with half of its shots and fewer test rows: for the many rows of an ablation."""
    tasks = _single_tasks(data, NLP7, seed, halved=2, tests=HALF_TESTS)
    return Stream("nlp7-half", seed, _shuffled(tasks, seed))


def mixed(data: Path, seed: int) -> Stream:
    """nlp7 and both intent data sets, interleaved."""
    tasks = _single_tasks(data, NLP7, seed) + _dealt(data, INTENTS, INTENT_SHOTS, seed)
    return Stream("mixed", seed, _shuffled(tasks, seed))


def images(data: Path, seed: int) -> Stream:
    """Small pictures of things and photographs of clothes, interleaved."""
    return Stream("images", seed, _shuffled(_dealt(data, IMAGES, IMAGE_SHOTS, seed), seed))


def cl12(data: Path, seed: int) -> Stream:
    """The CL benchmark's long order without the three tasks that have no test rows here."""
    return Stream("cl12", seed, tuple(_single_tasks(data, CL_ORDER, seed)))


NAMED: dict[str, Callable[[Path, int], Stream]] = {
    "nlp7": nlp7,
    "nlp7-half": nlp7_half,
    "mixed": mixed,
    "cl12": cl12,
    "images": images,
}
"""What `--stream` may name: from the folder of all data and a seed to the stream."""


def _single_tasks(
    data: Path, names: Sequence[str], seed: int, *, halved: int = 1, tests: int = TEST_ROWS
) -> list[StreamTask]:
    """Every named task, its shots divided by `halved`."""
    shots = {name: FEWER_SHOTS.get(name, SHOTS) // halved for name in names}
    return [
        SingleTask.load(data, name).deal(shots=shots[name], seed=seed, tests=tests)
        for name in names
    ]


def _dealt(data: Path, counts: Mapping[str, int], shots: int, seed: int) -> list[StreamTask]:
    """The tasks of whole data sets, under names of their own. counts: tasks of each."""
    tasks: list[StreamTask] = []
    for name, count in counts.items():
        dealt = Dataset.load(data / name).stream(tasks=count, shots=shots, seed=seed)
        tasks += [replace(task, name=f"{name}-{task.name}") for task in dealt.tasks]
    return tasks


def _shuffled(tasks: Sequence[StreamTask], seed: int) -> tuple[StreamTask, ...]:
    order = list(tasks)
    random.Random(seed).shuffle(order)
    return tuple(order)
