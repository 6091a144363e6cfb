"""Prompts in the form of input tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones import ShapeMismatch, TokenBank, TokenPrefix
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS


def tokens(backbone: TorchTextBackbone, length: int, seed: int) -> TokenPrefix:
    draw = np.random.default_rng(seed)
    return TokenPrefix(draw.standard_normal((length, backbone.description.width), np.float32))


def test_no_tokens_are_the_plain_model(backbone: TorchTextBackbone) -> None:
    batch = backbone.preprocess(INPUTS)
    empty = TokenBank.stack([TokenPrefix.empty(backbone.description)])
    assert np.array_equal(backbone.encode_tokens(batch, empty), backbone.encode(batch))


def test_rows_in_a_mixed_batch_equal_rows_alone(backbone: TorchTextBackbone) -> None:
    batch = backbone.preprocess(INPUTS)
    prefixes = [tokens(backbone, length, length) for length in (0, 1, 5)]
    rows = np.arange(len(INPUTS)) % 3
    mixed = backbone.encode_tokens(batch, TokenBank.stack(prefixes), rows)
    for index, row in enumerate(rows):
        one = TokenBank.stack([prefixes[row]])
        alone = backbone.encode_tokens(batch.select([index]), one)
        assert np.abs(mixed[index] - alone[0]).max() < 1e-5
    assert np.abs(mixed - backbone.encode(batch))[rows > 0].max(axis=1).min() > 1e-4


def test_features_are_differentiable_and_the_encoded_ones(backbone: TorchTextBackbone) -> None:
    batch = backbone.preprocess(INPUTS)
    prefix = tokens(backbone, 3, 1)
    leaf = torch.tensor(prefix.tokens, requires_grad=True)
    features = backbone.token_features(batch, [3, 0, 2], leaf)
    encoded = backbone.encode_tokens(batch.select([3, 0, 2]), TokenBank.stack([prefix]))
    assert np.abs(features.detach().numpy() - encoded).max() < 1e-5
    (gradient,) = torch.autograd.grad(features[:, :3].sum(), [leaf])
    assert (gradient.abs().amax(dim=1) > 0).all()


def test_tokens_of_another_width_are_refused(bert: TorchTextBackbone) -> None:
    batch = bert.preprocess(INPUTS)
    with pytest.raises(ShapeMismatch, match="width 32"):
        bert.encode_tokens(batch, TokenBank.stack([TokenPrefix(np.zeros((2, 16), np.float32))]))
    with pytest.raises(ShapeMismatch, match=r"\(P, 32\)"):
        bert.token_features(batch, [0], torch.zeros(2, 16))
