"""A tiny random BERT and lessons on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from backbones import Input, Preprocessed
from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from learner.methods.base import Lesson
from tests.backbones.models import SUPPORTED, WORDS, save

MakeLesson = Callable[..., Lesson]


settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TorchTextBackbone:
    """Four layers of width 32, random weights, two of them prompted; trains in fp32."""
    folder = save(SUPPORTED["bert"], tmp_path_factory.mktemp("tiny-bert"))
    return load(str(folder), device="cpu", threads=1, prompted_layers=2, precision="fp32")


def sentences(seed: int, count: int, classes: int) -> list[Input]:
    """Random words with one that tells the class, row i of class i mod `classes`."""
    rng = np.random.default_rng(seed)
    signs, fillers = WORDS[:classes], WORDS[classes:]
    texts = []
    for i in range(count):
        words = [str(word) for word in rng.choice(fillers, size=int(rng.integers(3, 9)))]
        words.insert(int(rng.integers(len(words) + 1)), signs[i % classes])
        texts.append(Input(text=" ".join(words)))
    return texts


@pytest.fixture
def lesson(tiny: TorchTextBackbone) -> MakeLesson:
    """`lesson(task, …)`: a small task for the tiny backbone."""

    def make(
        task: str,
        *,
        count: int = 24,
        classes: int = 2,
        seed: int = 0,
        memory: Preprocessed | None = None,
    ) -> Lesson:
        inputs = tiny.preprocess(sentences(len(task) + seed, count, classes))
        labels = np.arange(count) % classes
        return Lesson(task, inputs, labels, classes, memory=memory, seed=seed)

    return make
