"""The kinds of head: posteriors, restriction, storage."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load, save

from learner.heads import (
    Head,
    LinearHead,
    MixtureHead,
    ProjectedHead,
    load_head,
    split_tensors,
)

WIDTH, HIDDEN, CLASSES = 6, 11, 4
HALVES = np.array([0.5, 0.5], np.float32)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def linear() -> LinearHead:
    return LinearHead(draw(WIDTH, CLASSES), draw(CLASSES), 0.5)


def projected() -> ProjectedHead:
    return ProjectedHead(draw(WIDTH, HIDDEN, seed=1), draw(HIDDEN, CLASSES), draw(CLASSES), 2.0)


HEADS: dict[str, Head] = {
    "linear": linear(),
    "projected": projected(),
    "mixture": MixtureHead((linear(), projected()), np.array([0.9, 0.3], np.float32)),
    "nested": MixtureHead((projected(), MixtureHead((linear(), projected()), HALVES)), HALVES),
}
each_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


@each_head
def test_posteriors_are_fp32_and_sum_to_one(head: Head) -> None:
    found = head.log_posteriors(np.float32(1e3) * draw(9, WIDTH, seed=2))
    assert found.shape == (9, head.classes)
    assert found.dtype == np.float32
    assert np.allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1, atol=1e-5)


@each_head
def test_a_row_does_not_depend_on_its_neighbours(head: Head) -> None:
    rows = draw(9, WIDTH, seed=3)
    alone = np.concatenate([head.log_posteriors(row[None]) for row in rows])
    assert np.allclose(alone, head.log_posteriors(rows), atol=1e-5)


@each_head
def test_restrict_is_the_posterior_given_those_classes(head: Head) -> None:
    rows, columns = draw(9, WIDTH, seed=4), [3, 1]
    kept = np.exp(head.log_posteriors(rows)[:, columns])
    found = np.exp(head.restrict(columns).log_posteriors(rows))
    assert np.allclose(found, kept / kept.sum(axis=1, keepdims=True), atol=1e-5)
    assert np.array_equal(head.restrict([2]).log_posteriors(rows), np.zeros((9, 1), np.float32))


@each_head
def test_storage_round_trip(head: Head) -> None:
    stored = load(save(head.tensors()))
    rows = draw(9, WIDTH, seed=5)
    back = load_head(stored, head.metadata())
    assert np.array_equal(back.log_posteriors(rows), head.log_posteriors(rows))


@each_head
def test_storage_round_trip_with_the_projection_apart(head: Head) -> None:
    own, projection = split_tensors(head.tensors())
    assert not any("projection" in name for name in own)
    assert (projection is None) == isinstance(head, LinearHead)
    rows = draw(9, WIDTH, seed=6)
    back = load_head(own, head.metadata(), projection)
    assert np.array_equal(back.log_posteriors(rows), head.log_posteriors(rows))


@each_head
def test_other_widths_and_columns_are_refused(head: Head) -> None:
    with pytest.raises(ValueError, match=r"\(B, 6\), got \(2, 7\)"):
        head.log_posteriors(np.zeros((2, 7), np.float32))
    for columns in ([], [4], [-1]):
        with pytest.raises(ValueError, match="0…3"):
            head.restrict(columns)


def test_what_makes_no_head_is_refused() -> None:
    with pytest.raises(ValueError, match="share width and classes"):
        MixtureHead((linear(), linear().restrict([0])), HALVES)
    with pytest.raises(ValueError, match="temperature"):
        LinearHead(draw(WIDTH, CLASSES), draw(CLASSES), 0.0)
    with pytest.raises(ValueError, match="fp32"):
        LinearHead(np.zeros((WIDTH, CLASSES)), draw(CLASSES))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite"):
        LinearHead(np.full((WIDTH, CLASSES), np.inf, np.float32), draw(CLASSES))
    with pytest.raises(ValueError, match=r"projection \(D, 11\)"):
        ProjectedHead(draw(WIDTH, 3), draw(HIDDEN, CLASSES), draw(CLASSES))


def test_bad_storage_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of head 'forest'"):
        load_head({}, {"kind": "forest"})
    own, _ = split_tensors(projected().tensors())
    with pytest.raises(ValueError, match="needs the tensor 'projection'"):
        load_head(own, {"kind": "projected"})
    other = ProjectedHead(draw(WIDTH, HIDDEN, seed=9), draw(HIDDEN, CLASSES), draw(CLASSES))
    with pytest.raises(ValueError, match="one projection"):
        split_tensors(MixtureHead((projected(), other), HALVES).tensors())


def test_importing_the_heads_is_light() -> None:
    """A serving replica imports them: no scipy, no torch."""
    code = "import sys, learner.heads, learner.statistics; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"scipy", "torch", "transformers", "sklearn"} & set(loaded.stdout.split())
