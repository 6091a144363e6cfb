"""Losses, memory retention, reparameterisation and the trainer, without a backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.arrays import FloatArray, IntArray
from learner.losses import CosineHead, CrossFitRidge, fit_ridge
from learner.optimise import ParameterGroup, Recipe, batches, optimise
from learner.reparameterise import RowNetwork
from learner.retention import Retention, information_bound
from learner.rows import fresh


def clusters(count: int, classes: int, width: int = 12) -> tuple[FloatArray, IntArray]:
    """Features of length 1 around one direction per class."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    rows = rng.normal(size=(classes, width))[labels] + 0.5 * rng.normal(size=(count, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), labels


def crossfit(features: FloatArray, labels: IntArray, limit: int = 1000) -> CrossFitRidge:
    """With the recipe's ridge and scale."""
    return CrossFitRidge(
        features, labels, int(labels.max()) + 1, ridge=1.0, scale=5.0, limit=limit, seed=0
    )


@given(rows=st.integers(2, 40), width=st.integers(2, 40), seed=st.integers(0, 1000))
def test_both_forms_of_the_ridge_solve_the_normal_equations(
    rows: int, width: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=random, dtype=torch.float64)
    y = torch.randn(rows, 3, generator=random, dtype=torch.float64)
    weight, intercept = fit_ridge(x, y, 1.0)
    centred = x - x.mean(dim=0)
    gram = centred.T @ centred + torch.eye(width, dtype=torch.float64)
    torch.testing.assert_close(gram @ weight, centred.T @ (y - y.mean(dim=0)))
    torch.testing.assert_close(x.mean(dim=0) @ weight + intercept, y.mean(dim=0))


def test_the_crossfitted_head_never_sees_the_rows_it_judges() -> None:
    features, labels = clusters(40, 2)
    index = np.array([0, 1, 2])
    batch = torch.tensor(features[index])
    loss = crossfit(features, labels).loss(batch, index)
    poisoned = features.copy()
    poisoned[index] = 1e3
    torch.testing.assert_close(crossfit(poisoned, labels).loss(batch, index), loss)
    poisoned[20] = 1e3
    assert not torch.isclose(crossfit(poisoned, labels).loss(batch, index), loss)


def test_the_bank_follows_the_batches() -> None:
    features, labels = clusters(40, 2)
    stale, followed = crossfit(features, labels), crossfit(features, labels)
    seen, judged = np.arange(20), np.arange(20, 30)
    moved = torch.flip(torch.tensor(features[seen]), dims=[1])
    followed.loss(moved, seen)
    batch = torch.tensor(features[judged])
    assert not torch.isclose(stale.loss(batch, judged), followed.loss(batch, judged))


def test_a_large_bank_is_sampled_and_close_to_the_whole() -> None:
    features, labels = clusters(1400, 4)
    index = np.arange(16)
    batch = torch.tensor(features[index])
    whole = crossfit(features, labels, limit=2000).loss(batch, index)
    sampled = crossfit(features, labels).loss(batch, index)
    again = crossfit(features, labels).loss(batch, index)
    assert sampled != whole
    assert sampled == again
    torch.testing.assert_close(sampled, whole, rtol=0.1, atol=0.0)


def test_the_gradient_flows_through_the_batch_alone() -> None:
    features, labels = clusters(40, 2)
    batch = torch.tensor(features[:8], requires_grad=True)
    crossfit(features, labels).loss(batch, np.arange(8)).backward()  # type: ignore[no-untyped-call]
    assert batch.grad is not None
    assert batch.grad.abs().sum() > 0


def test_a_cosine_head_starts_at_the_class_means() -> None:
    features, labels = clusters(60, 3)
    head = CosineHead(features, labels, 4, scale=16.0)
    (directions,) = head.parameters()
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    means = np.concatenate([means, features.mean(axis=0, keepdims=True)])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(directions.detach().numpy(), expected, atol=1e-6)
    assert directions.requires_grad


def test_the_information_bound_is_zero_at_most_and_rises_as_pairs_part() -> None:
    """Its supremum, 2·JS − 2·log 2, is 0; a critic that knows nothing gets −2·log 2."""
    unknowing, knowing = torch.zeros(8), torch.full((8,), 20.0)
    assert information_bound(unknowing, unknowing).item() == pytest.approx(-2 * np.log(2))
    assert information_bound(knowing, -knowing).item() == pytest.approx(0.0, abs=1e-6)


def test_a_trained_critic_tells_true_pairs_from_shuffled_ones() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(size=(64, 6)).astype(np.float32)
    new = torch.tensor(old[:, ::-1].copy())
    unrelated = torch.tensor(rng.normal(size=(64, 6)).astype(np.float32))
    index = np.arange(64)

    def trained(side: torch.Tensor) -> float:
        retention = Retention(old, hidden=32, seed=0)
        optimiser = torch.optim.Adam(retention.parameters(), lr=1e-2)
        values = []
        for _ in range(300):
            optimiser.zero_grad()
            information = retention.information(side, index)
            (-information).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            values.append(information.item())
        return float(np.mean(values[-50:]))

    assert trained(new) > trained(unrelated) + 0.2


def test_one_row_alone_has_no_product_pair() -> None:
    retention = Retention(np.ones((3, 4), np.float32), hidden=8, seed=0)
    assert retention.information(torch.ones(1, 4), np.array([0])).item() == 0.0


def test_reparameterisation_starts_as_the_identity() -> None:
    rows = fresh(np.random.default_rng(0).normal(size=(2, 2, 3, 5, 4)).astype(np.float32))
    network = RowNetwork(rows, hidden=7, seed=0)
    values = torch.tensor(rows.values)
    torch.testing.assert_close(network(values), values)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    one_by_one = torch.cat([network(values[..., i : i + 1, :]) for i in range(5)], dim=-2)
    torch.testing.assert_close(network(values), one_by_one)


@given(
    lengths=st.lists(st.integers(1, 99), min_size=1, max_size=150),
    size=st.integers(2, 16),
    epochs=st.integers(1, 3),
)
def test_an_epoch_sees_every_row_once(lengths: list[int], size: int, epochs: int) -> None:
    per_epoch = -(-len(lengths) // size)
    recipe = Recipe(epochs * per_epoch, size, 0.06, 1.0, seed=0)
    drawn = list(batches(np.array(lengths), recipe))
    assert len(drawn) == recipe.steps
    for epoch in range(epochs):
        seen = np.concatenate(drawn[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert sorted(seen.tolist()) == list(range(len(lengths)))


def test_batches_save_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, size=256)
    drawn = list(batches(lengths, Recipe(16, 16, 0.0, 1.0, seed=0)))
    padded = sum(int(lengths[index].max()) * len(index) for index in drawn)
    unsorted = sum(int(lengths[i : i + 16].max()) * 16 for i in range(0, 256, 16))
    assert padded < 0.75 * unsorted


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    recipe = Recipe(100, 16, 0.06, 1.0, seed=0)
    factors = [recipe.factor(step) for step in range(101)]
    peak = int(np.argmax(factors))
    assert 4 <= peak <= 8
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(0.0, abs=1e-9)


def test_the_trainer_finds_a_minimum_and_reports_epochs() -> None:
    weight = torch.zeros(3, requires_grad=True)
    target = torch.tensor([1.0, -2.0, 3.0])
    epochs: list[int] = []

    def loss(index: IntArray) -> torch.Tensor:
        return ((weight - target) ** 2).sum()

    last = optimise(
        loss,
        [ParameterGroup([weight], 0.1), ParameterGroup([], 1.0)],
        np.full(32, 7),
        Recipe(200, 16, 0.06, 1.0, seed=0),
        lambda epoch, of, loss, seconds: epochs.append(epoch),
    )
    torch.testing.assert_close(weight.detach(), target, atol=1e-2, rtol=0.0)
    assert last < 1e-3
    assert epochs == [1 + step // 2 for step in range(200)]


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    weight = torch.zeros(1, requires_grad=True)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        optimise(
            lambda index: (weight * torch.inf).sum(),
            [ParameterGroup([weight], 0.1)],
            np.full(4, 7),
            Recipe(2, 2, 0.0, 1.0, seed=0),
            lambda *progress: None,
        )
