"""Prefixes and banks: shapes, padding, and the way to the store and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones import (
    NEVER,
    Bank,
    Description,
    Prefix,
    ShapeMismatch,
    TokenBank,
    TokenPrefix,
)
from backbones.checks import random_prefix

DESCRIPTION = Description(
    name="made-up",
    modality="text",
    layers=4,
    heads=3,
    width=15,
    head_dim=5,
    max_length=16,
    prompted_layers=2,
    fingerprint="0",
)
LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def prefixes(lengths: list[int]) -> list[Prefix]:
    return [random_prefix(DESCRIPTION, length, seed) for seed, length in enumerate(lengths)]


def same(one: Prefix, other: Prefix) -> bool:
    return np.array_equal(one.keys_values, other.keys_values) and np.array_equal(
        one.bias, other.bias
    )


@given(LENGTHS)
def test_a_bank_holds_each_prefix_as_it_was(lengths: list[int]) -> None:
    ones = prefixes(lengths)
    bank = Bank.stack(ones)
    assert len(bank) == len(ones)
    assert bank.length == max(lengths)
    assert bank.lengths().tolist() == lengths
    assert all(same(bank.prefix(row), one) for row, one in enumerate(ones))
    for row, length in enumerate(lengths):
        assert (bank.bias[row, :, :, length:] == NEVER).all()


@given(LENGTHS, LENGTHS)
def test_concatenating_banks_is_stacking_all(left: list[int], right: list[int]) -> None:
    ones = prefixes(left + right)
    joined = Bank.concat([Bank.stack(ones[: len(left)]), Bank.stack(ones[len(left) :])])
    stacked = Bank.stack(ones)
    assert np.array_equal(joined.keys_values, stacked.keys_values)
    assert np.array_equal(joined.bias, stacked.bias)


@given(LENGTHS)
def test_concatenating_prefixes_adds_their_rows(lengths: list[int]) -> None:
    ones = prefixes(lengths)
    joined = Prefix.concat(ones)
    assert joined.length == sum(lengths)
    joined.check(DESCRIPTION)
    start = 0
    for one in ones:
        end = start + one.length
        assert np.array_equal(joined.keys_values[:, :, :, start:end], one.keys_values)
        assert np.array_equal(joined.bias[:, :, start:end], one.bias)
        start = end


def test_tensors_round_trip() -> None:
    one = random_prefix(DESCRIPTION, 3, 0)
    assert same(Prefix.load(one.tensors()), one)
    bank = Bank.stack(prefixes([1, 3]))
    assert same(Bank.load(bank.tensors()).prefix(1), bank.prefix(1))
    tokens = TokenPrefix(np.ones((2, 15), np.float32))
    assert np.array_equal(TokenPrefix.load(tokens.tensors()).tokens, tokens.tokens)


def test_any_float_type_becomes_fp32() -> None:
    one = random_prefix(DESCRIPTION, 2, 0)
    wide = Prefix(one.keys_values.astype(np.float64), one.bias.astype(np.float64))
    assert wide.keys_values.dtype == wide.bias.dtype == np.float32


@pytest.mark.parametrize(
    ("keys_values", "bias"),
    [
        ((2, 2, 3, 4), (2, 3, 4)),  # an axis missing
        ((2, 3, 3, 4, 5), (2, 3, 4)),  # not a key and a value
        ((2, 2, 3, 4, 5), (2, 3, 5)),  # biases of another length
        ((2, 2, 3, 4, 5), (1, 3, 4)),  # biases of fewer layers
    ],
)
def test_shapes_that_are_no_prefix_are_refused(
    keys_values: tuple[int, ...], bias: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeMismatch):
        Prefix(np.zeros(keys_values, np.float32), np.zeros(bias, np.float32))
    with pytest.raises(ShapeMismatch):
        Bank(np.zeros((1, *keys_values), np.float32), np.zeros((1, *bias), np.float32))


def test_prefixes_of_other_backbones_are_refused() -> None:
    foreign = Prefix(np.zeros((3, 2, 3, 1, 5), np.float32), np.zeros((3, 3, 1), np.float32))
    own = random_prefix(DESCRIPTION, 1, 0)
    with pytest.raises(ShapeMismatch, match="do not mix"):
        Bank.stack([own, foreign])
    with pytest.raises(ShapeMismatch, match="do not mix"):
        Prefix.concat([own, foreign])
    with pytest.raises(ShapeMismatch, match="does not fit made-up"):
        foreign.check(DESCRIPTION)
    with pytest.raises(ShapeMismatch, match="does not fit made-up"):
        Bank.stack([foreign]).check(DESCRIPTION)


def test_nothing_to_stack_is_refused() -> None:
    for make in (Bank.stack, Prefix.concat, Bank.concat, TokenBank.stack, TokenPrefix.concat):
        with pytest.raises(ShapeMismatch):
            make([])


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ShapeMismatch, match="no tensor 'bias'; there are"):
        Prefix.load({"keys_values": np.zeros((2, 2, 3, 4, 5))})


def test_a_bank_is_never_padded_shorter() -> None:
    with pytest.raises(ShapeMismatch, match="cannot pad 3 rows to 2"):
        Bank.stack(prefixes([3])).padded(2)


def test_token_prefixes_stack_next_to_the_text() -> None:
    short = TokenPrefix(np.full((1, 15), 1, np.float32))
    long = TokenPrefix(np.full((3, 15), 2, np.float32))
    bank = TokenBank.stack([short, long, TokenPrefix.empty(DESCRIPTION)])
    assert bank.lengths.tolist() == [1, 3, 0]
    assert bank.tokens[0, :, 0].tolist() == [0, 0, 1]
    assert TokenPrefix.concat([short, long]).length == 4
    with pytest.raises(ShapeMismatch, match="disagree"):
        TokenBank(np.zeros((1, 2, 15), np.float32), np.array([3]))
