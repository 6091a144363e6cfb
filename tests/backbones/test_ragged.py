"""Ragged data: preprocessed batches, lower states, and their split into passes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backbones import IntArray, Preprocessed, ShapeMismatch
from backbones.lower import LowerStates
from backbones.micro_batches import PassCost, micro_batches

LENGTHS = st.lists(st.integers(1, 300), max_size=80).map(lambda x: np.array(x, np.int64))


def batch(lengths: list[int]) -> Preprocessed:
    ids = tuple(np.full(length, 10 * index + length) for index, length in enumerate(lengths))
    return Preprocessed({"input_ids": ids}, np.array(lengths, np.int64))


COSTS = st.builds(
    PassCost,
    budget=st.integers(1, 5000),
    overhead=st.integers(0, 200),
    pairs=st.none() | st.integers(1, 1000),
)


def price(parts: list[IntArray], lengths: IntArray, cost: PassCost) -> Fraction:
    """In tokens."""
    return sum((price_of_one(lengths[part], cost) for part in parts), Fraction(0))


def price_of_one(lengths: IntArray, cost: PassCost) -> Fraction:
    """Packed: every token once, and padded pairs of them."""
    padded = len(lengths) * int(lengths.max())
    if cost.pairs is None:
        return Fraction(cost.overhead + padded)
    pairs = padded * int(lengths.max())
    return cost.overhead + int(lengths.sum()) + Fraction(pairs, cost.pairs)


@given(LENGTHS, COSTS)
def test_every_example_is_in_one_pass_within_the_budget(lengths: IntArray, cost: PassCost) -> None:
    parts = micro_batches(lengths, cost)
    everywhere = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    assert sorted(everywhere.tolist()) == list(range(len(lengths)))
    for part in parts:
        assert len(part) > 0
        assert len(part) == 1 or len(part) * int(lengths[part].max()) <= cost.budget


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9), COSTS)
def test_no_other_split_into_like_lengths_costs_less(lengths: list[int], cost: PassCost) -> None:
    ascending = np.sort(np.array(lengths, np.int64))
    cheapest = min(
        price(parts, ascending, cost)
        for cuts in subsets(range(1, len(ascending)))
        for parts in [np.split(np.arange(len(ascending)), cuts)]
        if all(len(p) == 1 or len(p) * ascending[p].max() <= cost.budget for p in parts)
    )
    assert price(micro_batches(ascending, cost), ascending, cost) == cheapest


@given(LENGTHS, COSTS)
def test_what_is_one_pass_is_one_pass_alone(lengths: IntArray, cost: PassCost) -> None:
    for part in micro_batches(lengths, cost):
        assert len(micro_batches(lengths[part], cost)) == 1


def subsets(items: range) -> Iterator[list[int]]:
    for size in range(len(items) + 1):
        yield from map(list, combinations(items, size))


def test_one_long_text_does_not_make_all_others_long() -> None:
    lengths = np.array([10] * 100 + [256], np.int64)
    parts = micro_batches(lengths, PassCost(budget=4096, overhead=12))
    assert [len(part) for part in parts] == [100, 1]


def test_packed_texts_share_passes_that_padded_ones_would_not() -> None:
    lengths = np.array([8, 9, 10, 11, 12, 30] * 10, np.int64)
    padded, packed = PassCost(1024, 12), PassCost(1024, 12, pairs=330)
    assert len(micro_batches(lengths, packed)) < len(micro_batches(lengths, padded))


def test_examples_are_selected_in_order() -> None:
    three = batch([3, 1, 2])
    chosen = three.select([2, 0, 2])
    assert chosen.lengths.tolist() == [2, 3, 2]
    assert [one.tolist() for one in chosen.fields["input_ids"]] == [[22] * 2, [3] * 3, [22] * 2]
    assert three[1:].lengths.tolist() == [1, 2]
    assert len(three[:0]) == 0


def test_batches_are_concatenated() -> None:
    joined = Preprocessed.concat([batch([3, 1]), batch([2])])
    assert joined.lengths.tolist() == [3, 1, 2]
    assert joined.fields["input_ids"][2].tolist() == [2, 2]


def test_batches_that_do_not_fit_are_refused() -> None:
    pixels = Preprocessed({"pixels": (np.zeros(3),)}, np.array([1]))
    with pytest.raises(ShapeMismatch, match="do not mix"):
        Preprocessed.concat([batch([1]), pixels])
    with pytest.raises(ShapeMismatch):
        Preprocessed.concat([])
    with pytest.raises(ShapeMismatch, match="'input_ids' has 1 examples, lengths has 2"):
        Preprocessed({"input_ids": (np.zeros(3),)}, np.array([1, 2]))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.data())
def test_lower_states_come_back_padded_or_selected(lengths: list[int], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8))
    whole = [torch.full((length, 2), float(index)) for index, length in enumerate(lengths)]
    lower = LowerStates(torch.cat(whole), np.array(lengths, np.int64))
    states, mask = lower.padded(rows)
    chosen = lower.select(rows)
    assert states.shape == (len(rows), max(lengths[row] for row in rows), 2)
    assert len(chosen) == len(rows)
    for place, row in enumerate(rows):
        assert int(mask[place].sum()) == lengths[row]
        assert torch.equal(states[place][mask[place].bool()], whole[row])
        assert torch.equal(chosen.padded([place])[0][0], whole[row])


def test_lower_states_are_concatenated() -> None:
    one = LowerStates(torch.zeros(3, 2), np.array([1, 2]))
    two = LowerStates(torch.ones(1, 2), np.array([1]))
    joined = LowerStates.concat([one, two])
    assert joined.lengths.tolist() == [1, 2, 1]
    assert joined.padded([2])[0].tolist() == [[[1.0, 1.0]]]
    assert len(joined.select([])) == 0


def test_lower_states_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeMismatch, match="do not hold 4 tokens"):
        LowerStates(torch.zeros(3, 2), np.array([4]))
