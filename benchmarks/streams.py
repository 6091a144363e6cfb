"""Streams: a seeded order of tasks with k shots a class and their full test sets.

A data set is one file in a folder. Texts: gzipped JSON, `train` and `test` as lists of
`[text, label]`, and optionally `domains: {name: [label, …]}`, which then are the tasks. Images: see
`image_sets`. Without domains the classes are shuffled and dealt into tasks of equal size.
"""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from backbones import Input
from benchmarks.image_sets import TEST, TRAIN, BadImageSet, ImageSet

TEST_SEED = 5
"""Of the choice of test rows, where there are to be fewer: the same for every stream."""

FORMS = ("*.json.gz", "*.npz")


class UnknownDataset(ValueError):
    """The folder holds no data set of a form this reader knows."""


@dataclass(frozen=True)
class Example:
    """One row: a text, a pair of texts or an image, and the name of its class.

    image: an encoded file; text is "" then
    """

    text: str
    label: str
    text_pair: str | None = None
    image: bytes | None = None

    @property
    def input(self) -> Input:
        """As the backbone is given it."""
        if self.image is not None:
            return Input(image=self.image)
        return Input(text=self.text, text_pair=self.text_pair)


@dataclass(frozen=True)
class StreamTask:
    """One task of a stream. dataset: the data set it was made from ("" where there is none)."""

    name: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]
    dataset: str = ""

    def limited(self, tests: int) -> StreamTask:
        """With at most `tests` test rows a class, the same ones for every seed."""
        chosen: set[int] = set()
        for label in {one.label for one in self.test}:
            of_label = [i for i, one in enumerate(self.test) if one.label == label]
            random.Random(TEST_SEED).shuffle(of_label)
            chosen.update(of_label[:tests])
        return replace(self, test=tuple(self.test[i] for i in sorted(chosen)))


@dataclass(frozen=True)
class Stream:
    """Tasks in the order they are learnt."""

    name: str
    seed: int
    tasks: tuple[StreamTask, ...]

    @property
    def has_images(self) -> bool:
        """Whether any row is an image."""
        return any(one.image is not None for t in self.tasks for one in (*t.train, *t.test))

    def limited(self, tests: int) -> Stream:
        """With at most `tests` test rows a class."""
        return replace(self, tasks=tuple(task.limited(tests) for task in self.tasks))


@dataclass(frozen=True)
class Dataset:
    """Rows as read, before any seed has touched them."""

    name: str
    train: tuple[Example, ...]
    test: tuple[Example, ...]
    domains: dict[str, tuple[str, ...]] | None

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        """Read the one file in `folder`. Raises UnknownDataset with what was looked for."""
        files = [path for form in FORMS for path in sorted(folder.glob(form))]
        if len(files) != 1:
            raise UnknownDataset(
                f"{folder}: expected a folder with exactly one {' or '.join(FORMS)}, "
                f"found {len(files)}"
            )
        if files[0].suffix == ".npz":
            return cls._of_images(folder.name, files[0])
        return cls._of_texts(folder.name, files[0])

    @classmethod
    def _of_texts(cls, name: str, path: Path) -> Dataset:
        raw = orjson.loads(gzip.decompress(path.read_bytes()))
        if not isinstance(raw, dict) or not {"train", "test"} <= raw.keys():
            raise UnknownDataset(f"{path}: expected the keys 'train' and 'test'")
        domains = raw.get("domains")
        return cls(
            name=name,
            train=tuple(Example(text, label) for text, label in raw["train"]),
            test=tuple(Example(text, label) for text, label in raw["test"]),
            domains={k: tuple(v) for k, v in domains.items()} if domains else None,
        )

    @classmethod
    def _of_images(cls, name: str, path: Path) -> Dataset:
        try:
            images = ImageSet.load(path)
        except BadImageSet as error:
            raise UnknownDataset(f"{path}: {error}") from error
        train, test = (
            tuple(Example("", label, image=data) for data, label in images.part(part))
            for part in (TRAIN, TEST)
        )
        return cls(name, train, test, domains=None)

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
