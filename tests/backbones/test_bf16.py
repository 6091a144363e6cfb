"""Encoding in bf16: nearly what fp32 sees, in every layer and on every architecture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backbones import UnsupportedModel, in_bf16
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS
from tests.backbones.near import NEAR, check_near
from tests.backbones.vision.conftest import load_vision
from tests.backbones.vision.models import IMAGES, VISION
from tests.serving.bag_of_words import BagOfWords


def test_texts_are_seen_nearly_alike(backbone: TorchTextBackbone) -> None:
    check_near(in_bf16(backbone), backbone, INPUTS, NEAR)


@pytest.mark.parametrize("kind", list(VISION))
def test_images_are_seen_nearly_alike(kind: str, tmp_path: Path) -> None:
    backbone = load_vision(VISION[kind](tmp_path))
    check_near(in_bf16(backbone), backbone, IMAGES, NEAR)


def test_what_it_was_made_of_stays_fp32(bert: TorchTextBackbone) -> None:
    batch = bert.preprocess(INPUTS)
    before = bert.encode(batch)
    rounded = in_bf16(bert).encode(batch)
    assert rounded.dtype == np.float32
    assert not np.array_equal(rounded, before)
    assert np.array_equal(bert.encode(batch), before)


def test_other_engines_have_none() -> None:
    with pytest.raises(UnsupportedModel, match="served with numpy: choose runtime 'torch'"):
        in_bf16(BagOfWords())
