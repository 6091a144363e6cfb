"""Every eviction rule: signature, shapes, and what only the faithful ones keep."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from backbones import Queries
from learner.eviction import RULES, WITH_QUERIES, EvictionContext, attention_error
from learner.eviction.attention import attend, beside
from learner.eviction.merge import QUERY_VARIANCE, drawn
from learner.eviction.synthesis import pca_mean, pca_raw, pca_rescaled
from learner.methods.config import EvictionName
from learner.rows import Rows, concat, fresh

Problem = tuple[Rows, list[Queries], list[Queries]]
MakeProblem = Callable[..., Problem]
FAITHFUL = ("pca", "merge", "merge_fit")
seeds = st.integers(0, 2**20)


def weighted(rows: Rows, seed: int) -> Rows:
    """The same rows with biases as earlier merges leave them."""
    counts = np.random.default_rng(seed).integers(1, 5, size=rows.bias.shape)
    return Rows(rows.values, np.log(counts).astype(np.float32))


def drawn_mass(rows: Rows) -> NDArray[Any]:
    """What `(L, H, R)` rows add to a softmax's denominator over queries N(0, σ²I)."""
    keys = rows.values[:, 0].astype(np.float64)
    mass: NDArray[Any] = np.exp(rows.bias + drawn(keys, keys.shape[-1]))
    return mass


def canonical(rows: Rows) -> NDArray[Any]:
    """Each head's rows sorted by their first coordinate, so that order does not count."""
    joined = np.concatenate([rows.values[:, 0], rows.values[:, 1], rows.bias[..., None]], axis=-1)
    order = np.argsort(joined[..., 0], axis=-1)
    return np.take_along_axis(joined, order[..., None], axis=-2)


def test_the_config_names_only_rules() -> None:
    assert set(get_args(EvictionName)) - {"none"} <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_leaves_what_it_was_asked_for(name: str, problem: MakeProblem) -> None:
    rows, fit, _ = problem(0)
    evicted = RULES[name](rows, 15, EvictionContext(fit))
    assert len(evicted.rows) == 15
    assert evicted.rows.values.dtype == evicted.rows.bias.dtype == np.float32
    assert np.isfinite(evicted.rows.values).all()
    assert np.isfinite(evicted.rows.bias).all()
    assert evicted.rule == name


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_deterministic(name: str, problem: MakeProblem) -> None:
    rows, fit, _ = problem(1)
    one, two = (RULES[name](rows, 9, EvictionContext(fit, seed=5)).rows for _ in range(2))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.bias, two.bias)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_refuses_to_leave_nothing(name: str, problem: MakeProblem) -> None:
    rows, fit, _ = problem(0)
    with pytest.raises(ValueError, match="keep at least 1"):
        RULES[name](rows, 0, EvictionContext(fit))


@pytest.mark.parametrize("name", sorted(set(RULES) - WITH_QUERIES))
def test_rules_without_queries_work_on_input_tokens(name: str) -> None:
    tokens = np.random.default_rng(0).normal(size=(1, 1, 1, 12, 6)).astype(np.float32)
    evicted = RULES[name](fresh(tokens), 5, EvictionContext())
    assert evicted.rows.to_tokens().tokens.shape == (5, 6)


@pytest.mark.parametrize("name", FAITHFUL)
@given(seed=seeds)
def test_keeping_every_row_changes_nothing(name: str, seed: int) -> None:
    rows, fit = small(seed)
    rows = weighted(rows, seed)
    evicted = RULES[name](rows, len(rows), EvictionContext(fit)).rows
    np.testing.assert_array_equal(canonical(evicted), canonical(rows))


@pytest.mark.parametrize("name", FAITHFUL)
@given(seed=seeds, keep=st.integers(2, 11))
def test_the_order_of_the_rows_does_not_count(name: str, seed: int, keep: int) -> None:
    rows, fit = small(seed)
    rows = weighted(rows, seed)
    shuffled = rows.take(np.random.default_rng(seed).permutation(len(rows)))
    one = RULES[name](rows, keep, EvictionContext(fit)).rows
    other = RULES[name](shuffled, keep, EvictionContext(fit)).rows
    np.testing.assert_allclose(canonical(one), canonical(other), rtol=1e-3, atol=1e-3)


@given(seed=seeds, keep=st.integers(1, 12))
def test_merge_keeps_the_mass_that_each_head_draws(seed: int, keep: int) -> None:
    rows = weighted(small(seed)[0], seed)
    merged = RULES["merge"](rows, keep, EvictionContext()).rows
    before, after = (drawn_mass(r).sum(axis=-1) for r in (rows, merged))
    np.testing.assert_allclose(after, before, rtol=1e-4)


@given(seed=seeds, keep=st.integers(1, 12))
def test_merge_keeps_the_mean_of_what_each_head_draws(seed: int, keep: int) -> None:
    rows = weighted(small(seed)[0], seed)
    merged = RULES["merge"](rows, keep, EvictionContext()).rows

    def centre(r: Rows) -> NDArray[Any]:
        mass = drawn_mass(r)
        weights = (mass / mass.sum(axis=-1, keepdims=True))[:, None, :, :, None]
        total: NDArray[Any] = (weights * r.values).sum(axis=-2)
        return total

    np.testing.assert_allclose(centre(merged), centre(rows), rtol=1e-4, atol=1e-4)


def test_the_mass_a_key_draws_is_that_of_random_queries() -> None:
    key = np.array([0.9, -0.4, 0.3, 0.1])
    queries = np.random.default_rng(0).normal(scale=np.sqrt(QUERY_VARIANCE), size=(200_000, 4))
    np.testing.assert_allclose(drawn(key, 4), np.log(np.exp(queries @ key / 2).mean()), atol=0.01)


@given(seed=seeds, times=st.integers(2, 3))
def test_merge_joins_twins_without_a_trace(seed: int, times: int) -> None:
    rows, fit = small(seed)
    merged = RULES["merge"](concat([rows] * times), len(rows), EvictionContext()).rows
    assert attention_error(concat([rows] * times), merged, fit) < 1e-5
    np.testing.assert_allclose(merged.bias, np.log(times), rtol=1e-5)


@pytest.mark.parametrize("name", FAITHFUL)
@pytest.mark.parametrize("seed", range(5))
def test_the_faithful_rules_leave_fifo_far_behind(
    name: str, seed: int, problem: MakeProblem
) -> None:
    rows, fit, held_out = problem(seed)
    fifo = attention_error(rows, RULES["fifo"](rows, 15, EvictionContext()).rows, held_out)
    kept = RULES[name](rows, 15, EvictionContext(fit)).rows
    assert attention_error(rows, kept, held_out) < fifo / 5


@pytest.mark.parametrize("name", FAITHFUL)
def test_evicting_again_and_again_stays_faithful(name: str, problem: MakeProblem) -> None:
    rows, fit, held_out = problem(3, rows=60)
    queue = rows.take(slice(20))
    for start in range(20, 60, 10):
        queue = concat([queue, rows.take(slice(start, start + 10))])
        queue = RULES[name](queue, 20, EvictionContext(fit)).rows
    fifo = attention_error(rows, rows.take(slice(-20, None)), held_out)
    assert attention_error(rows, queue, held_out) < fifo / 4


@pytest.mark.parametrize("name", sorted(WITH_QUERIES))
def test_without_queries_a_rule_says_that_it_merged(
    name: str, problem: MakeProblem, caplog: pytest.LogCaptureFixture
) -> None:
    rows, _, _ = problem(0)
    with caplog.at_level(logging.WARNING):
        evicted = RULES[name](rows, 10, EvictionContext(None))
    assert evicted.rule == "merge"
    assert f"eviction by {name} has no queries" in caplog.text
    expected = RULES["merge"](rows, 10, EvictionContext()).rows
    np.testing.assert_array_equal(evicted.rows.values, expected.values)


@pytest.mark.parametrize("seed", range(3))
def test_fits_lower_the_error_of_merged_rows(seed: int, problem: MakeProblem) -> None:
    rows, fit, held_out = problem(seed)
    plain = RULES["merge"](rows, 10, EvictionContext()).rows
    fitted = RULES["merge_fit"](rows, 10, EvictionContext(fit)).rows
    assert attention_error(rows, fitted, held_out) < attention_error(rows, plain, held_out)


def test_merge_fit_joins_twins_without_a_trace(problem: MakeProblem) -> None:
    rows, fit, held_out = problem(0, rows=10)
    twice = concat([rows, rows])
    merged = RULES["merge_fit"](twice, 10, EvictionContext(fit)).rows
    assert attention_error(twice, merged, held_out) < 1e-2


def test_pca_keeps_real_keys(problem: MakeProblem) -> None:
    rows, fit, _ = problem(2)
    kept = RULES["pca"](rows, 10, EvictionContext(fit)).rows
    for layer, head in np.ndindex(rows.bias.shape[:2]):
        originals = {key.tobytes() for key in rows.values[layer, 0, head]}
        assert all(key.tobytes() in originals for key in kept.values[layer, 0, head])


def test_synthesised_rows_have_the_published_form(problem: MakeProblem) -> None:
    rows, _, _ = problem(4)
    raw, mean, rescaled = (
        rule(rows, 8, EvictionContext()).rows.flat() for rule in (pca_raw, pca_mean, pca_rescaled)
    )
    centre = rows.flat().mean(axis=0)
    spectrum = np.linalg.svd(rows.flat() - centre, compute_uv=False)[:8]
    np.testing.assert_allclose(raw @ raw.T, np.diag(spectrum**2), atol=1e-3)
    np.testing.assert_allclose(mean - raw, np.tile(centre, (8, 1)), atol=1e-5)
    norm = np.linalg.norm(rows.flat(), axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(rescaled, axis=1), norm, rtol=1e-5)


def test_controls_take_what_their_names_say(problem: MakeProblem) -> None:
    rows, _, _ = problem(0, rows=12)
    newest = RULES["fifo"](rows, 4, EvictionContext()).rows
    np.testing.assert_array_equal(newest.values, rows.values[..., -4:, :])
    one, two = (RULES["random"](rows, 4, EvictionContext(seed=s)).rows for s in (0, 1))
    assert not np.array_equal(one.values, two.values)
    merged = RULES["merge_oldest"](rows, 9, EvictionContext()).rows
    expected = (rows.values[..., :3, :] + rows.values[..., 3:6, :]) / 2
    np.testing.assert_allclose(merged.values[..., :3, :], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(merged.values[..., 3:, :], rows.values[..., 6:, :])
    np.testing.assert_allclose(merged.bias[..., :3], np.log(2), rtol=1e-6)


def test_attention_is_a_softmax_over_rows_and_text() -> None:
    rng = np.random.default_rng(0)
    text_k, text_v = rng.normal(size=(2, 1, 6, 4))
    q = rng.normal(size=(1, 5, 4))
    rows = fresh(rng.normal(size=(1, 2, 1, 3, 4)).astype(np.float32))
    scores = q @ text_k.swapaxes(1, 2) / 2
    log_mass = np.log(np.exp(scores).sum(axis=2))
    output = np.exp(scores - log_mass[..., None]) @ text_v
    queries = Queries(*(a.astype(np.float32) for a in (q, log_mass, output)))
    keys, values = (
        np.concatenate(p, axis=1) for p in zip(rows.values[0], (text_k, text_v), strict=True)
    )
    joint = np.exp(q @ keys.swapaxes(1, 2) / 2)
    expected = joint / joint.sum(axis=2, keepdims=True) @ values
    np.testing.assert_allclose(attend(queries, rows, 0).output, expected, rtol=1e-5)


def test_rows_beside_a_queue_count_as_text(problem: MakeProblem) -> None:
    rows, fit, _ = problem(6)
    shared, queue = rows.take(slice(10)), rows.take(slice(10, None))
    joined = attend(beside(fit, shared)[1], queue, 1).output
    np.testing.assert_allclose(joined, attend(fit[1], rows, 1).output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAITHFUL)
def test_eviction_of_a_real_size_takes_no_time(name: str, problem: MakeProblem) -> None:
    rows, fit, _ = problem(0, layers=3, heads=12, rows=70, width=32)
    spent = []
    for _ in range(3):
        start = time.process_time()
        RULES[name](rows, 30, EvictionContext(fit))
        spent.append(time.process_time() - start)
    assert min(spent) < 1.0


def small(seed: int) -> tuple[Rows, list[Queries]]:
    """A problem small enough for many hypothesis examples."""
    rng = np.random.default_rng(seed)
    rows = fresh(rng.normal(size=(1, 2, 2, 12, 4)).astype(np.float32))
    q, output = rng.normal(size=(2, 2, 40, 4)).astype(np.float32)
    return rows, [Queries(q, np.full((2, 40), 1.5, np.float32), output)]
