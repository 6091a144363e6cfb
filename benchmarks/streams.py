"""Streams: a seeded order of tasks with k shots a class and their full test sets.

A data set is one gzipped JSON file in a folder: `train` and `test` as lists of `[text, label]`, and
optionally `domains: {name: [label, …]}`, which then are the tasks. Without domains the classes are
shuffled and dealt into tasks of equal size.
"""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from pathlib import Path

import orjson


class UnknownDataset(ValueError):
    """The folder holds no data set of a form this reader knows."""


@dataclass(frozen=True)
class Example:
    """One row: a text or a pair of texts, and the name of its class."""

    text: str
    label: str
    text_pair: str | None = None


@dataclass(frozen=True)
class StreamTask:
    """One task of a stream. dataset: the data set it was made from ("" where there is none)."""

    name: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]
    dataset: str = ""


@dataclass(frozen=True)
class Stream:
    """Tasks in the order they are learnt."""

    name: str
    seed: int
    tasks: tuple[StreamTask, ...]


@dataclass(frozen=True)
class Dataset:
    """Rows as read, before any seed has touched them."""

    name: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]
    domains: dict[str, tuple[str, ...]] | None

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Read `folder/*.json.gz`. Raises UnknownDataset with what was looked for."""
        files = sorted(folder.glob("*.json.gz")) if folder.is_dir() else []
        if len(files) != 1:
            raise UnknownDataset(
                f"{folder}: expected a folder with exactly one *.json.gz, found {len(files)}"
            )
        raw = orjson.loads(gzip.decompress(files[0].read_bytes()))
        if not isinstance(raw, dict) or not {"train", "test"} <= raw.keys():
            raise UnknownDataset(f"{files[0]}: expected the keys 'train' and 'test'")
        domains = raw.get("domains")
        return cls(
            name=folder.name,
            train=tuple(Example(text, label) for text, label in raw["train"]),
            test=tuple(Example(text, label) for text, label in raw["test"]),
            domains={k: tuple(v) for k, v in domains.items()} if domains else None,
        )

    def stream(self, *, tasks: int, shots: int, seed: int) -> Stream:
        """A stream of `tasks` tasks with at most `shots` training rows a class."""
        rng = random.Random(seed)
        groups = self._groups(tasks, rng)
        rng.shuffle(groups)
        return Stream(self.name, seed, tuple(self._task(g, shots, rng) for g in groups))

    def _groups(self, tasks: int, rng: random.Random) -> list[tuple[str, tuple[str, ...]]]:
        if self.domains is not None and len(self.domains) == tasks:
            return sorted(self.domains.items())
        classes = sorted({example.label for example in self.train})
        rng.shuffle(classes)
        if not 1 <= tasks <= len(classes):
            raise UnknownDataset(
                f"{self.name} has {len(classes)} classes: cannot make {tasks} tasks"
            )
        return [(f"part-{i + 1:02d}", tuple(classes[i::tasks])) for i in range(tasks)]

    def _task(
        self, group: tuple[str, tuple[str, ...]], shots: int, rng: random.Random
    ) -> StreamTask:
        name, classes = group
        train: list[Example] = []
        for label in classes:
            of_label = [row for row in self.train if row.label == label]
            rng.shuffle(of_label)
            train += of_label[:shots]
        rng.shuffle(train)
        wanted = set(classes)
        test = tuple(row for row in self.test if row.label in wanted)
        return StreamTask(name, tuple(train), test, self.name)
