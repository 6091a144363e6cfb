"""Every supported architecture keeps the promises of this room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backbones import Bank, Input, Prefix, RoutingUnavailable, ShapeMismatch
from backbones.checks import check_backbone, check_trainable, random_bank, random_prefix
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS, causal_bert, plain_features, save


def test_conforms(backbone: TorchTextBackbone, folder: Path) -> None:
    check_backbone(backbone, INPUTS, plain_features(folder))


def test_trains_what_it_serves(backbone: TorchTextBackbone) -> None:
    check_trainable(backbone, INPUTS)


def test_a_causal_model_conforms_and_is_not_packed(tmp_path: Path) -> None:
    from backbones.text.loading import load

    causal = load(str(save(causal_bert, tmp_path)), device="cpu", precision="fp32")
    check_backbone(causal, INPUTS)
    assert not causal.encoder.packs


def test_all_layers_can_be_prompted(folder: Path) -> None:
    from backbones import load

    everywhere = load(str(folder), device="cpu", prompted_layers=4)
    assert everywhere.description.first_prompted == 0
    check_trainable(everywhere, INPUTS)


def test_a_long_batch_is_split_and_comes_back_in_order(bert: TorchTextBackbone) -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(["red"] * n + ["blue"]) for n in draw.integers(0, 50, size=300)]
    batch = bert.preprocess([Input(text) for text in texts])
    bank = random_bank(bert.description, 3)
    rows = draw.integers(0, len(bank), size=300)
    features = bert.encode(batch, bank, rows)
    for index in (0, 7, 150, 299):
        alone = bert.encode(batch.select([index]), bank, rows[index : index + 1])
        assert np.abs(features[index] - alone[0]).max() < 1e-5
    prefix = random_prefix(bert.description, 2, 1)
    cached = bert.encode_lower(bert.lower(batch), prefix)
    assert np.abs(cached - bert.encode(batch, Bank.stack([prefix]))).max() < 1e-5


def test_a_bank_is_converted_once_and_let_go(bert: TorchTextBackbone) -> None:
    batch = bert.preprocess(INPUTS)
    before = len(bert._banks)
    bank = random_bank(bert.description, 4)
    first = bert.encode(batch, bank)
    assert len(bert._banks) == before + 1
    assert np.array_equal(first, bert.encode(batch, bank))
    assert len(bert._banks) == before + 1
    del bank
    assert len(bert._banks) == before


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0], ShapeMismatch, "a batch of 6 needs one each"),
        ([0, 0, 0, 0, 0, 4], ShapeMismatch, "row 4 is outside the bank, which has 4 rows"),
        (
            [0, 0, 0, 0, 0, -2],
            RoutingUnavailable,
            "router 1 to choose, and the bank has no routers",
        ),
        ([0, 0, 0, 0, 0, -1], RoutingUnavailable, "name a row"),
        ([0.0] * 6, ShapeMismatch, "integers, not float64"),
    ],
)
def test_rows_are_checked(
    bert: TorchTextBackbone, rows: list[int], error: type[Exception], message: str
) -> None:
    batch = bert.preprocess(INPUTS)
    with pytest.raises(error, match=message):
        bert.encode(batch, random_bank(bert.description, 4), np.array(rows))


def test_rows_without_a_bank_are_refused(bert: TorchTextBackbone) -> None:
    with pytest.raises(ShapeMismatch, match="rows choose from a bank"):
        bert.encode(bert.preprocess(INPUTS), None, np.zeros(len(INPUTS), np.int64))


def test_a_prefix_of_another_shape_is_refused(bert: TorchTextBackbone) -> None:
    shape = (3, 2, 4, 1, 8)  # one layer too many
    foreign = Prefix(np.zeros(shape, np.float32), np.zeros((3, 4, 1), np.float32))
    with pytest.raises(ShapeMismatch, match="does not fit"):
        bert.encode(bert.preprocess(INPUTS), Bank.stack([foreign]))
    with pytest.raises(ShapeMismatch, match="does not fit"):
        bert.encode_lower(bert.lower(bert.preprocess(INPUTS)), foreign)


def test_the_bias_of_a_row_counts_it_several_times(bert: TorchTextBackbone) -> None:
    batch = bert.preprocess(INPUTS)
    once = random_prefix(bert.description, 1, 9)
    twice = Prefix.concat([once, once])
    counted = Prefix(once.keys_values, once.bias + np.float32(np.log(2)))
    repeated = bert.encode(batch, Bank.stack([twice]))
    assert np.abs(repeated - bert.encode(batch, Bank.stack([counted]))).max() < 1e-5
