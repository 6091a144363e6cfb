"""Encoding kept examples: the backbone's own numbers, each computed once, within a budget."""

from __future__ import annotations

from typing import Any

import numpy as np

from backbones import Bank, Input, Preprocessed
from backbones.checks import random_prefix
from backbones.lower import LowerStates
from backbones.text.backbone import TorchTextBackbone
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample
from tests.learner.conftest import text


class Counting:
    """The tiny backbone, which notes how many rows go through its lower layers."""

    def __init__(self, inner: TorchTextBackbone) -> None:
        self._inner = inner
        self.lowered: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def lower(self, batch: Preprocessed) -> LowerStates:
        self.lowered.append(len(batch))
        return self._inner.lower(batch)


def rows(count: int, *, pairs: bool = False) -> list[KeptExample]:
    return [
        KeptExample(
            id=str(i),
            label="a",
            batch="b",
            held_out=False,
            text=text("refund", i),
            text_pair=text("order", i) if pairs and i % 2 else None,
        )
        for i in range(count)
    ]


def encoder_on(tiny: TorchTextBackbone, **options: Any) -> tuple[ExampleEncoder, Counting]:
    counting = Counting(tiny)
    backbone: Any = counting
    return ExampleEncoder(backbone, **options), counting


def test_plain_is_what_the_backbone_sees(tiny: TorchTextBackbone) -> None:
    kept = rows(5, pairs=True)
    inputs = [Input(text=row.text, text_pair=row.text_pair) for row in kept]
    expected = tiny.encode_layers(tiny.preprocess(inputs)).pooled
    np.testing.assert_allclose(ExampleEncoder(tiny).plain(kept).states, expected, atol=1e-5)


def test_upper_is_what_the_backbone_sees_under_a_prompt(tiny: TorchTextBackbone) -> None:
    kept, prompt = rows(4), random_prefix(tiny.description, 2, seed=1)
    inputs = tiny.preprocess([Input(text=row.text) for row in kept])
    expected = tiny.encode_layers(inputs, Bank.stack([prompt])).pooled
    upper = ExampleEncoder(tiny).upper(kept, prompt)
    layers = tiny.description.prompted_layers
    np.testing.assert_allclose(upper, expected[:, -layers:], atol=1e-5)


def test_rows_that_are_known_are_not_computed_again(tiny: TorchTextBackbone) -> None:
    encoder, counting = encoder_on(tiny)
    kept = rows(6)
    first = encoder.plain(kept[:4]).states
    again = encoder.plain(kept[:4]).states
    assert counting.lowered == [4]
    assert np.array_equal(first, again)
    grown = encoder.plain(list(reversed(kept))).states
    assert counting.lowered == [4, 2]
    np.testing.assert_allclose(grown[::-1][:4], first, atol=1e-5)


def test_the_budget_is_kept_and_the_newest_rows_stay(tiny: TorchTextBackbone) -> None:
    kept = rows(6)
    sizes = [tiny.lower(tiny.preprocess([Input(text=r.text)])).nbytes for r in kept]
    encoder, counting = encoder_on(tiny, budget=sum(sizes[3:]))
    whole = encoder.lower(kept)
    assert len(whole) == 6
    encoder.lower(kept[3:])
    assert counting.lowered == [6]
    encoder.lower(kept[:1])
    assert counting.lowered == [6, 1]
    nothing, counted = encoder_on(tiny, budget=0)
    np.testing.assert_allclose(
        nothing.plain(kept).states, ExampleEncoder(tiny).plain(kept).states, atol=1e-5
    )
    nothing.plain(kept)
    assert counted.lowered == [6, 6]


def test_pairs_apart_are_their_two_texts_alone(tiny: TorchTextBackbone) -> None:
    kept = rows(4, pairs=True)
    apart = ExampleEncoder(tiny).plain(kept).apart
    assert apart is not None
    assert not apart[[0, 2]].any()
    for i in (1, 3):
        for side, said in enumerate((kept[i].text, kept[i].text_pair)):
            alone = tiny.encode(tiny.preprocess([Input(text=said)]))[0]
            np.testing.assert_allclose(apart[i, side], alone, atol=1e-5)
    assert ExampleEncoder(tiny).plain(rows(2)).apart is None
