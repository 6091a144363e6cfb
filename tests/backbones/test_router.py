"""Routers and layer states: shapes, the way to the store and back, several in one bank."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backbones import (
    Bank,
    FloatArray,
    Input,
    LayerStates,
    Prefix,
    Router,
    RoutingUnavailable,
    ShapeMismatch,
)
from backbones.checks import random_bank, random_prefix, random_router
from backbones.lower import LowerStates
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS


def zeros(*shape: int) -> FloatArray:
    return np.zeros(shape, np.float32)


def router(*rows: int) -> Router:
    draw = np.random.default_rng(len(rows))
    return Router(
        draw.standard_normal((3, 32, len(rows)), np.float32), zeros(len(rows)), np.array(rows)
    )


def test_the_best_route_names_the_row() -> None:
    weights = zeros(1, 2, 3)
    weights[0, 0, 1] = weights[0, 1, 2] = 1.0
    one = Router(weights, np.array([0.5, 0.0, 0.0], np.float32), np.array([7, 4, 9]))
    states = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.1, 0.2]]], np.float32)
    assert one.choose(states).tolist() == [4, 9, 7]
    assert one.shifted(2).choose(states).tolist() == [6, 11, 9]
    again = Router.load(one.tensors())
    assert np.array_equal(again.scores(states), one.scores(states))


@pytest.mark.parametrize(
    ("weights", "bias", "rows"),
    [
        (np.zeros((3, 32)), np.zeros(2), np.array([0, 1])),
        (np.zeros((3, 32, 2)), np.zeros(3), np.array([0, 1])),
        (np.zeros((3, 32, 2)), np.zeros(2), np.array([0])),
        (np.zeros((3, 32, 2)), np.zeros(2), np.array([0, -1])),
        (np.zeros((3, 32, 2)), np.zeros(2), np.array([0.0, 1.0])),
        (np.zeros((3, 32, 0)), np.zeros(0), np.zeros(0, np.int64)),
        (np.full((3, 32, 2), np.nan), np.zeros(2), np.array([0, 1])),
    ],
)
def test_what_is_no_router_is_refused(
    weights: NDArray[Any], bias: NDArray[Any], rows: NDArray[Any]
) -> None:
    with pytest.raises(ShapeMismatch):
        Router(weights, bias, rows)


def test_a_bank_checks_its_routers(bert: TorchTextBackbone) -> None:
    bank = random_bank(bert.description, 1)
    batch = bert.preprocess(INPUTS)
    with pytest.raises(ShapeMismatch, match="leads to row 4, and the bank has 4"):
        bert.encode(batch, replace(bank, routers=(router(0, 4),)))
    foreign = Router(zeros(2, 32, 1), zeros(1), np.array([0]))
    with pytest.raises(ShapeMismatch, match=r"needs \(3, 32, R\)"):
        bert.encode(batch, replace(bank, routers=(foreign,)))
    with pytest.raises(RoutingUnavailable, match="router 1 to choose, and the bank has 1"):
        bert.encode(batch, replace(bank, routers=(router(0),)), np.full(len(INPUTS), -2))
    with pytest.raises(ShapeMismatch, match="reads states"):
        router(0).scores(np.zeros((2, 2, 32), np.float32))


def test_concatenated_banks_keep_their_routers(bert: TorchTextBackbone) -> None:
    one = replace(random_bank(bert.description, 1), routers=(router(0, 3),))
    plain = random_bank(bert.description, 2)
    joined = Bank.concat([one, plain, one.padded(9)])
    assert [r.rows.tolist() for r in joined.routers] == [[0, 3], [8, 11]]


def test_split_batches_are_routed_in_order(bert: TorchTextBackbone) -> None:
    draw = np.random.default_rng(0)
    words = ["red", "blue", "old", "flat", "up"]
    texts = [" ".join(draw.choice(words, size=n)) for n in draw.integers(1, 50, size=200)]
    batch = bert.preprocess([Input(text) for text in texts])
    states = bert.encode_layers(batch).lower(bert.description.first_prompted)
    one = random_router(states, (1, 2, 3, 0), 5)
    bank = replace(random_bank(bert.description, 3), routers=(one,))
    rows = np.where(np.arange(200) % 3 == 0, 2, -1)
    found = bert.encode_layers(batch, bank, rows)
    expected = np.where(rows < 0, one.choose(states), rows)
    assert found.rows.tolist() == expected.tolist()
    assert np.abs(found.features - bert.encode(batch, bank, expected)).max() < 1e-5
    assert (rows < 0).sum() == 133, "the caller's rows were changed"


def test_half_is_fp32_where_training_is(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess(INPUTS))
    prefix = random_prefix(bert.description, 2, 1)
    full = bert.encode_lower_layers(lower, prefix)
    assert np.array_equal(bert.encode_lower_layers(lower, prefix, half=True), full)  # fp32 engine


def test_states_are_selected_and_concatenated() -> None:
    states = LayerStates(np.arange(12, dtype=np.float32).reshape(3, 2, 2), np.array([4, 5, 6]))
    assert states.features.tolist() == [[2, 3], [6, 7], [10, 11]]
    assert states.lower(0).shape == (3, 1, 2)
    joined = LayerStates.concat([states.select([2]), states.select([0, 1])])
    assert joined.rows.tolist() == [6, 4, 5]
    assert joined.pooled[0].tolist() == states.pooled[2].tolist()
    with pytest.raises(ShapeMismatch, match="not"):
        LayerStates(zeros(2, 3, 4), np.zeros(3, np.int64))
    with pytest.raises(ShapeMismatch, match="one common"):
        LayerStates.concat([])


def test_lower_states_keep_what_was_pooled(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess(INPUTS))
    assert lower.pooled is not None
    joined = LowerStates.concat([lower.select([3]), lower.select([0])])
    assert joined.pooled is not None
    assert np.array_equal(joined.pooled, lower.pooled[[3, 0]])
    bare = LowerStates(lower.states, lower.lengths)
    assert LowerStates.concat([lower, bare]).pooled is None
    assert bert.encode_lower_layers(bare, Prefix.empty(bert.description)).shape == (6, 2, 32)
