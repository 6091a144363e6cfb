"""Sampled queries say exactly what a prefix does to a layer's attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backbones import FloatArray, Prefix, ShapeMismatch
from backbones.checks import random_prefix
from backbones.passes import attention
from backbones.queries import Queries
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS


def attended(layer: Queries, prefix: Prefix, index: int) -> FloatArray:
    """The attention output over [prefix; text], from the queries alone: (H, n, Dh)."""
    keys, values = prefix.keys_values[index]
    scores = np.einsum("hnd,hpd->hnp", layer.q, keys) / np.sqrt(keys.shape[-1])
    mass = np.exp(scores + prefix.bias[index][:, None])
    text = np.exp(layer.log_mass)[..., None]
    both = np.einsum("hnp,hpd->hnd", mass, values) + text * layer.output
    output: FloatArray = both / (mass.sum(axis=-1, keepdims=True) + text)
    return output


def test_queries_reproduce_the_attention_under_the_prefix(
    backbone: TorchTextBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = backbone.preprocess(INPUTS)
    ragged = batch.select(max(backbone.passes(batch.lengths), key=len))
    assert len(set(ragged.lengths.tolist())) > 1
    lower = backbone.lower(ragged)
    prefix = random_prefix(backbone.description, 3, 1)
    outputs: list[torch.Tensor] = []
    fused = attention._fused

    def recorded(*arguments: torch.Tensor) -> torch.Tensor:
        outputs.append(fused(*arguments))  # type: ignore[arg-type]
        return outputs[-1]

    monkeypatch.setattr(attention, "_fused", recorded)
    everything = int(lower.lengths.max())
    sampled = backbone.queries(lower, prefix, per_example=everything, seed=0)
    assert len(sampled) == len(outputs) == backbone.description.prompted_layers
    tokens = np.arange(everything) < lower.lengths[:, None]
    for index, (layer, output) in enumerate(zip(sampled, outputs, strict=True)):
        expected = output.transpose(0, 1).numpy()[:, tokens]
        assert layer.q.shape == expected.shape
        assert np.abs(attended(layer, prefix, index) - expected).max() < 1e-5


def test_samples_are_as_many_as_asked_and_repeatable(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess(INPUTS))
    empty = Prefix.empty(bert.description)
    one = bert.queries(lower, empty, per_example=3, seed=1)
    again = bert.queries(lower, empty, per_example=3, seed=1)
    other = bert.queries(lower, empty, per_example=3, seed=2)
    expected = int(np.minimum(lower.lengths, 3).sum())
    for layer, same, different in zip(one, again, other, strict=True):
        assert layer.q.shape == layer.output.shape == (4, expected, 8)
        assert layer.log_mass.shape == (4, expected)
        assert np.array_equal(layer.q, same.q)
        assert not np.array_equal(layer.q, different.q)


def test_no_samples_are_refused(bert: TorchTextBackbone) -> None:
    lower = bert.lower(bert.preprocess(INPUTS))
    with pytest.raises(ShapeMismatch, match="per_example"):
        bert.queries(lower, Prefix.empty(bert.description), per_example=0, seed=0)
