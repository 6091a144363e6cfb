"""Single tasks of two public sets: the CL benchmark of O-LoRA and the few-shot sets of LFPT5.

Each keeps `shots` rows a class and a fixed subset of its test rows, the same for every seed.
"""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.streams import Example, StreamTask, UnknownDataset

CL_BENCHMARK = "olora_cl_benchmark"
LFPT5 = "lfpt5_classification"

LFPT5_NAMES = {"yahoo": "yahoo_answers_csv", "dbpedia": "dbpedia_csv"}
"""Tasks that the CL benchmark lacks rows of; here the three seeds of LFPT5 are united."""
TEST_SEED = 5
TEST_ROWS = 500

Row = tuple[str, str]
"""A text as the file writes it, and its label."""


@dataclass(frozen=True)
class SingleTask:
    """Rows of one task as read, training rows in the order they are drawn from."""

    name: str
    train: tuple[Row, ...]
    test: tuple[Row, ...]

    @classmethod
    def load(cls, data: Path, name: str) -> SingleTask:
        """Read one task below `data`. Raises UnknownDataset with what is missing."""
        if name in LFPT5_NAMES:
            return cls._of_lfpt5(data / LFPT5 / f"{LFPT5}.json.gz", name)
        return cls._of_cl_benchmark(data / CL_BENCHMARK / f"{name}.json.gz", name)

    @classmethod
    def _of_cl_benchmark(cls, path: Path, name: str) -> SingleTask:
        raw = _read(path)
        if not raw.get("train") or not raw.get("test"):
            raise UnknownDataset(f"{path}: {name} has no train or no test rows")
        labels = set(raw["labels"])  # MNLI has rows labelled "-"
        train, test = (
            tuple((r["sentence"], r["label"]) for r in raw[part] if r["label"] in labels)
            for part in ("train", "test")
        )
        return cls(name, train, test)

    @classmethod
    def _of_lfpt5(cls, path: Path, name: str) -> SingleTask:
        seeds = _read(path)[LFPT5_NAMES[name]].values()
        train = {(text, label) for s in seeds for text, label in s["train"] + s["valid"]}
        test = {(text, label) for s in seeds for text, label in s["test"]}
        return cls(name, tuple(sorted(train)), tuple(sorted(test - train)))

    def deal(self, *, shots: int, seed: int, tests: int = TEST_ROWS) -> StreamTask:
        """`shots` training rows a class by seed, and at most `tests` test rows."""
        rng = random.Random(seed * 7 + 1)
        train: list[Row] = []
        for label in sorted({label for _, label in self.train}):
            of_label = [row for row in self.train if row[1] == label]
            rng.shuffle(of_label)
            train += of_label[:shots]
        rng.shuffle(train)
        test = list(self.test)
        random.Random(TEST_SEED).shuffle(test)
        examples = [self._example(row) for row in (*train, *test[:tests])]
        cut = len(train)
        return StreamTask(self.name, tuple(examples[:cut]), tuple(examples[cut:]), self.name)

    def _example(self, row: Row) -> Example:
        text, label = row
        first, second = clean(self.name, text)
        return Example(first, label, second)


def clean(name: str, text: str) -> tuple[str, str | None]:
    """A text, or a pair of texts, without the words that the files put before them."""
    if name == "SST-2":
        return text.replace("Text: ", "").strip(), None
    if name == "QQP":
        first, second = text.split("\nsecond sentence: ")
        return first.replace("first sentence: ", "").strip(' "'), second.strip(' "\n')
    if name in ("RTE", "CB", "MNLI"):
        first, second = text.split("\nsentence 2: ")
        return first.replace("sentence 1: ", "").strip(), second.strip()
    if name == "BoolQA":
        first, second = text.split("\npassage: ", 1)
        return first.replace("question: ", "").strip(), second.strip()
    if name == "WiC":
        lines = [line.strip() for line in text.replace("word: ", "").split("\n") if line.strip()]
        word, first, second = lines[:3]
        return f"{word}: {first}", f"{word}: {second}"
    plain = text.replace("Title: ", "").replace("\nText: ", " . ")
    return plain.replace("\\n", " ").replace("\\", " ").strip(), None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UnknownDataset(f"{path} is missing; --data must name the folder above it")
    content: dict[str, Any] = orjson.loads(gzip.decompress(path.read_bytes()))
    return content
