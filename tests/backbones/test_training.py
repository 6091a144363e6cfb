"""The differentiable side: cached lower states, gradients, bf16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import Bank, Prefix, ShapeMismatch
from backbones.checks import random_prefix
from backbones.tensors import TensorPrefix
from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from tests.backbones.models import INPUTS


def leaves(prefix: Prefix) -> TensorPrefix:
    tensors = TensorPrefix.of(prefix)
    return TensorPrefix(tensors.keys_values.requires_grad_(), tensors.bias.requires_grad_())


def test_features_are_the_encoded_ones(backbone: TorchTextBackbone) -> None:
    batch = backbone.preprocess(INPUTS)
    prefix = random_prefix(backbone.description, 3, 1)
    rows = [4, 0, 2]
    features = backbone.features(backbone.lower(batch), rows, leaves(prefix))
    encoded = backbone.encode(batch.select(rows), Bank.stack([prefix]))
    assert features.dtype == torch.float32
    assert np.abs(features.detach().numpy() - encoded).max() < 1e-5


def test_gradients_are_the_finite_differences(backbone: TorchTextBackbone) -> None:
    lower = backbone.lower(backbone.preprocess(INPUTS))
    prefix = leaves(random_prefix(backbone.description, 2, 2))
    torch.manual_seed(1)
    weights = torch.randn(len(INPUTS), backbone.description.width)

    def loss(keys_values: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        one = TensorPrefix(keys_values, bias)
        return (backbone.features(lower, range(len(INPUTS)), one) * weights).sum()

    both = [prefix.keys_values, prefix.bias]
    for index, gradient in enumerate(torch.autograd.grad(loss(*both), both)):
        step = 3e-3 * gradient / gradient.norm()
        ahead, behind = (
            loss(*[leaf + sign * step if i == index else leaf for i, leaf in enumerate(both)])
            for sign in (1, -1)
        )
        slope = (ahead - behind).item() / 6e-3
        assert slope == pytest.approx(gradient.norm().item(), rel=0.05)


def test_every_prompted_layer_gets_a_gradient(backbone: TorchTextBackbone) -> None:
    lower = backbone.lower(backbone.preprocess(INPUTS))
    prefix = leaves(random_prefix(backbone.description, 2, 3))
    value = backbone.features(lower, [0, 2, 3], prefix)[:, :3].sum()
    keys_values, bias = torch.autograd.grad(value, [prefix.keys_values, prefix.bias])
    assert (keys_values.abs().amax(dim=(2, 3, 4)) > 0).all()
    assert (bias.abs().amax(dim=(1, 2)) > 0).all()


def test_training_leaves_no_gradient_on_the_frozen_weights(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess(INPUTS))
    features = bert.features(lower, [0], leaves(random_prefix(bert.description, 1, 3)))
    torch.autograd.backward(features.sum())
    assert all(p.grad is None and not p.requires_grad for p in bert.encoder.model.parameters())


def test_bf16_is_close_and_its_copy_shares_the_lower_layers(folder: Path) -> None:
    half = load(str(folder), device="cpu", precision="bf16")
    batch = half.preprocess(INPUTS)
    before = half.encode(batch)
    prefix = random_prefix(half.description, 3, 1)
    leaf = leaves(prefix)
    features = half.features(half.lower(batch), range(len(INPUTS)), leaf)
    (gradient,) = torch.autograd.grad(features[:, 0].sum(), [leaf.keys_values])
    assert gradient.dtype == torch.float32
    expected = half.encode(batch, Bank.stack([prefix]))
    rough = half.encode_lower_layers(half.lower(batch), prefix, half=True)[:, -1]
    assert 1e-6 < np.abs(rough - expected).max() < 0.05
    assert np.abs(features.detach().numpy() - expected).max() < 0.05
    assert np.array_equal(half.encode(batch), before), "the served model was changed"
    own = {id(p) for p in half.encoder.model.parameters()}
    copied = list(half._trainers[half.description.first_prompted].model.parameters())
    assert any(id(p) in own for p in copied)
    assert any(p.dtype == torch.bfloat16 for p in copied)
    assert all(p.dtype == torch.float32 for p in half.encoder.model.parameters())


def test_lower_states_are_those_of_the_lower_layers(bert: TorchTextBackbone) -> None:
    batch = bert.preprocess(INPUTS)
    lower = bert.lower(batch)
    for index, length in enumerate(batch.lengths):
        alone = bert.lower(batch.select([index]))
        states, mask = lower.padded([index])
        assert states.shape == (1, length, bert.description.width)
        assert mask.sum() == length
        assert (states[0] - alone.states).abs().max() < 1e-5


@pytest.mark.parametrize(("storage", "bytes_each"), [("fp32", 4), ("fp16", 2), ("bf16", 2)])
def test_lower_states_can_be_stored_smaller(
    bert: TorchTextBackbone, storage: str, bytes_each: int
) -> None:
    batch = bert.preprocess(INPUTS)
    lower = bert.lower(batch, storage=storage)  # type: ignore[arg-type]
    assert lower.nbytes == bytes_each * int(batch.lengths.sum()) * bert.description.width
    encoded = bert.encode_lower(lower, Prefix.empty(bert.description))
    assert np.abs(encoded - bert.encode(batch)).max() < 0.02


def test_no_examples_have_no_lower_states(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess([]))
    assert len(lower) == 0
    assert bert.encode_lower(lower, Prefix.empty(bert.description)).shape == (0, 32)


def test_rows_of_features_are_checked(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess(INPUTS))
    prefix = leaves(random_prefix(bert.description, 1, 0))
    with pytest.raises(ShapeMismatch, match="outside the 6 examples"):
        bert.features(lower, [6], prefix)
    with pytest.raises(ShapeMismatch, match="at least one example"):
        bert.features(lower, [], prefix)


def test_a_tensor_prefix_round_trips() -> None:
    prefix = Prefix(
        np.random.default_rng(0).standard_normal((2, 2, 3, 4, 5), np.float32),
        np.ones((2, 3, 4), np.float32),
    )
    again = TensorPrefix.of(prefix).prefix()
    assert np.array_equal(again.keys_values, prefix.keys_values)
    assert np.array_equal(again.bias, prefix.bias)
