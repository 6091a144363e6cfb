"""Consolidation: one prompt that acts as several did, and which two act most alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones import Input, Prefix
from backbones.lower import LowerStates
from backbones.text.backbone import TorchTextBackbone
from learner.arrays import FloatArray
from learner.consolidation import ConsolidationConfig, consolidate, most_alike, seen_under
from learner.errors import Cancelled
from tests.learner.conftest import text


def ignore(epoch: int, epochs: int, loss: float, seconds: float) -> None:
    """No progress."""


def prompt(backbone: TorchTextBackbone, seed: int, scale: float = 1.5) -> Prefix:
    """Random rows, strong enough to move the features."""
    shape = backbone.description.prefix_shape(3)
    values = np.random.default_rng(seed).normal(scale=scale, size=shape).astype(np.float32)
    return Prefix(values, np.zeros((shape[0], shape[2], 3), np.float32))


def examples(backbone: TorchTextBackbone, domain: str, count: int = 24) -> LowerStates:
    """A domain's texts, below the prompted layers."""
    texts = [Input(text=text(f"{domain}{i}", i % 4)) for i in range(count)]
    return backbone.lower(backbone.preprocess(texts))


def own_cosine(features: FloatArray, teachers: FloatArray) -> float:
    return float((features * teachers).sum(axis=1).mean())


def test_one_prompt_acts_as_two_did(tiny: TorchTextBackbone) -> None:
    domains = [examples(tiny, name) for name in ("red", "blue")]
    teachers = np.concatenate(
        [tiny.encode_lower(lower, prompt(tiny, seed)) for seed, lower in enumerate(domains)]
    )
    lower = LowerStates.concat(domains)
    losses: list[float] = []
    one = consolidate(
        tiny,
        lower,
        teachers,
        4,
        config=ConsolidationConfig(epochs=30),
        report=lambda epoch, epochs, loss, seconds: losses.append(loss),
    )
    frozen = tiny.encode_lower(lower, Prefix.empty(tiny.description))
    before = 1 - own_cosine(frozen, teachers)
    assert one.length == 4
    assert 1 - own_cosine(tiny.encode_lower(lower, one), teachers) < 0.5 * before
    assert losses[-1] < losses[0]


def test_equal_arguments_give_equal_prompts(tiny: TorchTextBackbone) -> None:
    lower = examples(tiny, "red", 8)
    teachers = tiny.encode_lower(lower, prompt(tiny, 0))
    config = ConsolidationConfig(epochs=1, batch_size=4)
    one, same, other = (
        consolidate(tiny, lower, teachers, 2, seed=seed, config=config, report=ignore)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.keys_values, same.keys_values)
    assert not np.array_equal(one.keys_values, other.keys_values)


def test_it_can_be_cancelled(tiny: TorchTextBackbone) -> None:
    lower = examples(tiny, "red", 8)

    def cancel(epoch: int, epochs: int, loss: float, seconds: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        consolidate(tiny, lower, tiny.encode_lower(lower, prompt(tiny, 0)), 2, report=cancel)


@pytest.mark.parametrize(
    ("count", "teachers", "rows", "message"),
    [
        (8, 8, 0, "at least 1"),
        (8, 7, 2, r"8 examples need teacher features \(8, 32\), got \(7, 32\)"),
        (0, 0, 2, "no examples"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    tiny: TorchTextBackbone, count: int, teachers: int, rows: int, message: str
) -> None:
    lower = examples(tiny, "red", 8).select(np.arange(count))
    with pytest.raises(ValueError, match=message):
        consolidate(tiny, lower, np.zeros((teachers, 32), np.float32), rows, report=ignore)


def test_nearly_equal_prompts_act_most_alike(tiny: TorchTextBackbone) -> None:
    first = prompt(tiny, 0)
    twin = Prefix(1.01 * first.keys_values, first.bias)
    prefixes = [prompt(tiny, 1), first, prompt(tiny, 2), twin]
    features = seen_under(tiny, examples(tiny, "red"), prefixes)
    assert features.shape == (4, 24, 32)
    assert most_alike(features) == (1, 3)


@given(
    seed=st.integers(0, 2**20),
    prompts=st.integers(2, 6),
    rows=st.integers(1, 5),
)
def test_no_other_pair_is_nearer(seed: int, prompts: int, rows: int) -> None:
    features = np.random.default_rng(seed).normal(size=(prompts, rows, 4)).astype(np.float32)
    features /= np.linalg.norm(features, axis=2, keepdims=True)
    first, second = most_alike(features)
    assert first < second
    nearest = own_cosine(features[first], features[second])
    for i in range(prompts):
        for j in range(i + 1, prompts):
            assert own_cosine(features[i], features[j]) <= nearest + 1e-5


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 0, 4), (3, 4)])
def test_there_must_be_two_prompts_and_an_example(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="to compare prompts"):
        most_alike(np.ones(shape, np.float32))
