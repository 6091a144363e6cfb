"""Rows, queue and reweighing: the algebra both forms of a prompt share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.queue import Group, PromptQueue
from learner.reweighing import Reweighing
from learner.rows import Form, Rows, concat, fresh, from_prefix, from_tokens

forms = st.sampled_from(["keys_values", "tokens"])
counts = st.integers(0, 5)
seeds = st.integers(0, 2**20)


def make_rows(count: int, seed: int = 0, form: Form = "keys_values") -> Rows:
    """Random rows with random biases."""
    rng = np.random.default_rng(seed)
    lead = (2, 2, 3) if form == "keys_values" else (1, 1, 1)
    values = rng.normal(size=(*lead, count, 4)).astype(np.float32)
    return Rows(values, rng.normal(size=(lead[0], lead[2], count)).astype(np.float32))


def same(one: Rows, other: Rows) -> bool:
    """Equal to the bit."""
    return np.array_equal(one.values, other.values) and np.array_equal(one.bias, other.bias)


@given(form=forms, parts=st.lists(counts, min_size=1, max_size=4), seed=seeds)
def test_concat_and_take_are_inverse(form: Form, parts: list[int], seed: int) -> None:
    rows = [make_rows(count, seed + i, form) for i, count in enumerate(parts)]
    joined, start = concat(rows), 0
    for part in rows:
        assert same(joined.take(slice(start, start + len(part))), part)
        start += len(part)
    assert len(joined) == start


@given(form=forms, count=counts, seed=seeds)
def test_rows_survive_tensors_and_their_own_form(form: Form, count: int, seed: int) -> None:
    rows = make_rows(count, seed, form)
    assert same(Rows.load(rows.tensors()), rows)
    if form == "keys_values":
        assert same(from_prefix(rows.to_prefix()), rows)
    else:
        np.testing.assert_array_equal(from_tokens(rows.to_tokens()).values, rows.values)


@given(form=forms, count=counts, seed=seeds)
def test_flat_and_unflat_are_inverse(form: Form, count: int, seed: int) -> None:
    rows = make_rows(count, seed, form)
    assert same(rows.unflat(rows.flat(), rows.bias), rows)
    assert (rows.unflat(rows.flat()).bias == 0).all()


def test_a_form_is_not_taken_for_the_other() -> None:
    with pytest.raises(ValueError, match="no keys and values"):
        make_rows(2, form="tokens").to_prefix()
    with pytest.raises(ValueError, match="no input tokens"):
        make_rows(2).to_tokens()


@pytest.mark.parametrize(
    ("values", "bias"), [((2, 3, 3, 5, 4), (2, 3, 5)), ((2, 2, 3, 5, 4), (2, 3, 6)), ((5, 4), (5,))]
)
def test_shapes_that_contradict_are_refused(values: tuple[int, ...], bias: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="values"):
        Rows(np.zeros(values, np.float32), np.zeros(bias, np.float32))


@given(form=forms, sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5), seed=seeds)
def test_a_queue_gives_back_what_each_task_put_in(form: Form, sizes: list[int], seed: int) -> None:
    queue = PromptQueue.empty(make_rows(0, form=form), sum(sizes))
    put = {f"task {i}": make_rows(size, seed + i, form) for i, size in enumerate(sizes)}
    for task, rows in put.items():
        assert not queue.owns(task)
        assert queue.has_room(len(rows))
        queue = queue.enqueue(task, rows)
    assert not queue.has_room(1)
    assert queue.owners == tuple(put)
    for task, rows in put.items():
        assert same(queue.rows_of(task), rows)


def test_replacing_rows_leaves_those_of_others() -> None:
    a, b, c, new = (make_rows(n, n) for n in (2, 3, 4, 3))
    queue = PromptQueue.empty(a, 9).enqueue("a", a).enqueue("b", b).enqueue("c", c)
    replaced = queue.replace("b", new)
    assert same(replaced.rows, concat([a, new, c]))
    assert replaced.groups == queue.groups
    with pytest.raises(ValueError, match="owns 3 rows, got 2"):
        queue.replace("b", a)


def test_a_full_queue_asks_for_eviction() -> None:
    queue = PromptQueue.empty(make_rows(0), 4).enqueue("a", make_rows(3))
    with pytest.raises(ValueError, match="evict first"):
        queue.enqueue("b", make_rows(2))
    left = queue.compressed(make_rows(1))
    assert left.groups == (Group(None, 1),)
    assert left.enqueue("b", make_rows(3)).owners == (None, "b")


def test_a_queue_refuses_contradictions() -> None:
    rows = make_rows(3)
    with pytest.raises(ValueError, match="groups count 2 rows"):
        PromptQueue(rows, (Group("a", 2),), 4)
    with pytest.raises(ValueError, match="capacity 2"):
        PromptQueue(rows, (Group("a", 3),), 2)
    with pytest.raises(ValueError, match="owns two groups"):
        PromptQueue(rows, (Group("a", 2), Group("a", 1)), 4)
    with pytest.raises(KeyError, match="owns no rows"):
        PromptQueue(rows, (Group("a", 3),), 4).rows_of("b")


@given(form=forms, count=counts, seed=seeds)
def test_a_fresh_reweighing_changes_nothing(form: Form, count: int, seed: int) -> None:
    rows = make_rows(count, seed, form)
    assert same(Reweighing.ones(rows).fold(rows), rows)


@given(form=forms, seed=seeds)
def test_reweighing_is_the_outer_product_times_the_rows(form: Form, seed: int) -> None:
    rows = make_rows(3, seed, form)
    rng = np.random.default_rng(seed)
    ones = Reweighing.ones(rows)
    u = rng.normal(size=ones.over_rows.shape).astype(np.float32)
    v = rng.normal(size=ones.over_width.shape).astype(np.float32)
    folded = Reweighing(u, v).fold(rows)
    flat_v = np.moveaxis(v, -2, 0).reshape(-1)
    np.testing.assert_allclose(folded.flat(), np.outer(u, flat_v) * rows.flat(), rtol=1e-5)
    np.testing.assert_array_equal(folded.bias, rows.bias)


def test_a_reweighing_counts_its_rows() -> None:
    with pytest.raises(ValueError, match="3 rows meets 2"):
        Reweighing.ones(make_rows(3)).fold(make_rows(2))


def test_fresh_rows_have_no_bias() -> None:
    assert (fresh(make_rows(3).values).bias == 0).all()
