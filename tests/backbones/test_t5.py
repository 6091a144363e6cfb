"""T5: the promises of this room on its encoder, and labels scored by its decoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from backbones import (
    Bank,
    FloatArray,
    Input,
    IntArray,
    InvalidInput,
    Prefix,
    Preprocessed,
    RoutingUnavailable,
    ShapeMismatch,
    SourceError,
    TokenBank,
    TokenPrefix,
    UnsupportedModel,
    load,
)
from backbones.checks import (
    check_backbone,
    check_same,
    check_trainable,
    random_bank,
    random_prefix,
    random_router,
)
from backbones.tensors import TensorPrefix
from backbones.text.t5.backbone import T5Backbone
from backbones.text.t5.encoder import T5Encoder
from tests.backbones.models import INPUTS, WORDS
from tests.backbones.near import NEAR, check_near

SPECIAL: Final = ["<pad>", "</s>", "<unk>"]
LABELS: Final = ["red", "green blue", "old", "far near left right"]

_SHAPE: Final = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "d_model": 32,
    "d_kv": 6,  # 4 heads of 6 are less than the width, as in the smaller T5s of version 1.1
    "num_heads": 4,
    "d_ff": 48,
    "num_layers": 4,
    "num_decoder_layers": 2,
    # Distances of the longer inputs share buckets, and the farthest share the last.
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
}


def _t5(**options: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(T5Config(**_SHAPE, **options))


def _mt5() -> Any:
    from transformers import MT5Config, MT5ForConditionalGeneration

    return MT5ForConditionalGeneration(
        MT5Config(**_SHAPE, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    )


def _encoder_only() -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(**_SHAPE))


MODELS: Final[dict[str, Callable[[], Any]]] = {
    "t5": _t5,
    "flan": lambda: _t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "mt5": _mt5,
}


def save(make: Callable[[], Any], folder: Path) -> Path:
    """Write a random model, always the same one, and a tokenizer that ends a text as T5's does."""
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "relative_attention_bias" in name:
                parameter.mul_(4.0)  # so that distances matter
    model.save_pretrained(folder)
    tokenizer = Tokenizer(
        WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def loaded(folder: Path, **options: Any) -> T5Backbone:
    backbone = load(str(folder), **{"device": "cpu", "precision": "fp32", "threads": 1, **options})
    assert isinstance(backbone, T5Backbone)
    return backbone


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(make, tmp_path_factory.mktemp(name)) for name, make in MODELS.items()}


@pytest.fixture(scope="module", params=list(MODELS))
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """Each kind in turn: tied and untied output, plain and gated feed-forward."""
    return folders[request.param]


@pytest.fixture(scope="module")
def backbone(folder: Path) -> T5Backbone:
    return loaded(folder)


@pytest.fixture(scope="module")
def t5(folders: dict[str, Path]) -> T5Backbone:
    """One of them, where the kind does not matter."""
    return loaded(folders["t5"])


@pytest.fixture(scope="module")
def plain(folders: dict[str, Path]) -> Any:
    """The untouched whole model of transformers."""
    from transformers import AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM.from_pretrained(folders["t5"], local_files_only=True).eval()


def padded(batch: Preprocessed) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and mask (B, S)."""
    mask = np.arange(int(batch.lengths.max())) < batch.lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate(batch.fields["input_ids"])
    return torch.from_numpy(ids), torch.from_numpy(mask).long()


def pooled(hidden: torch.Tensor, mask: torch.Tensor) -> FloatArray:
    kept = mask.unsqueeze(-1).float()
    mean = (hidden * kept).sum(dim=1) / kept.sum(dim=1)
    array: FloatArray = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return array


def plain_features(folder: Path) -> Callable[[Preprocessed], FloatArray]:
    """Those of transformers' own encoder model."""
    from transformers import AutoModelForTextEncoding

    model = AutoModelForTextEncoding.from_pretrained(folder, local_files_only=True).eval()
    assert type(model).__name__ in ("T5EncoderModel", "MT5EncoderModel")

    def features(batch: Preprocessed) -> FloatArray:
        ids, mask = padded(batch)
        with torch.inference_mode():
            return pooled(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)

    return features


def tokens(backbone: T5Backbone, length: int) -> TokenPrefix:
    draw = np.random.default_rng(length)
    return TokenPrefix(draw.standard_normal((length, backbone.description.width), np.float32))


def test_conforms(backbone: T5Backbone, folder: Path) -> None:
    check_backbone(backbone, INPUTS, plain_features(folder))


def test_trains_what_it_serves(backbone: T5Backbone) -> None:
    check_trainable(backbone, INPUTS)


@pytest.mark.parametrize("prompted", [1, 4])
def test_passes_resume_wherever_prompts_begin(folders: dict[str, Path], prompted: int) -> None:
    backbone = loaded(folders["t5"], prompted_layers=prompted)
    check_backbone(backbone, INPUTS)
    check_trainable(backbone, INPUTS)


def test_describes_itself(t5: T5Backbone) -> None:
    described = t5.description
    assert (described.layers, described.prompted_layers, described.max_length) == (4, 2, 256)
    assert (described.heads, described.width, described.head_dim) == (4, 32, 6)


def test_an_encoder_alone_sees_but_does_not_score(tmp_path: Path) -> None:
    backbone = loaded(save(_encoder_only, tmp_path))
    check_backbone(backbone, INPUTS, plain_features(tmp_path))
    with pytest.raises(UnsupportedModel, match="has no decoder"):
        backbone.label_scores(backbone.preprocess(INPUTS), LABELS)


def test_a_row_scores_as_queries_say(t5: T5Backbone) -> None:
    """Attention over [prefix; text] put together from sampled queries is that of the pass."""
    batch = t5.preprocess(INPUTS[2:3])
    lower = t5.lower(batch)
    length = int(batch.lengths[0])
    sampled = t5.queries(lower, Prefix.empty(t5.description), length, 0)[0]
    prefix = random_prefix(t5.description, 3, 7, scale=1.0)
    keys, values = prefix.keys_values[0]
    scores = sampled.q @ keys.transpose(0, 2, 1) / np.sqrt(t5.description.head_dim)
    mass = np.exp(scores + prefix.bias[0][:, None, :])
    own = np.exp(sampled.log_mass)[..., None]
    expected = (mass @ values + own * sampled.output) / (mass.sum(axis=2, keepdims=True) + own)
    attention = t5.encoder.model.block[t5.description.first_prompted].layer[0].SelfAttention
    got: list[torch.Tensor] = []
    handle = attention.o.register_forward_pre_hook(lambda _, given: got.append(given[0]))
    t5.encode_lower(lower, prefix)
    handle.remove()
    assert np.abs(got[0][0].numpy() - expected.transpose(1, 0, 2).reshape(length, -1)).max() < 1e-5


def leaves(prefix: Prefix) -> TensorPrefix:
    tensors = TensorPrefix.of(prefix)
    return TensorPrefix(tensors.keys_values.requires_grad_(), tensors.bias.requires_grad_())


def test_gradients_are_the_finite_differences(t5: T5Backbone) -> None:
    lower = t5.lower(t5.preprocess(INPUTS))
    prefix = leaves(random_prefix(t5.description, 2, 2))
    torch.manual_seed(1)
    weights = torch.randn(len(INPUTS), t5.description.width)

    def loss(keys_values: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        one = TensorPrefix(keys_values, bias)
        return (t5.features(lower, range(len(INPUTS)), one) * weights).sum()

    both = [prefix.keys_values, prefix.bias]
    for index, gradient in enumerate(torch.autograd.grad(loss(*both), both)):
        assert (gradient.flatten(1).abs().amax(dim=1) > 0).all(), "a prompted layer gets none"
        step = 3e-3 * gradient / gradient.norm()
        ahead, behind = (
            loss(*[leaf + sign * step if i == index else leaf for i, leaf in enumerate(both)])
            for sign in (1, -1)
        )
        slope = (ahead - behind).item() / 6e-3
        assert slope == pytest.approx(gradient.norm().item(), rel=0.05)


@pytest.mark.parametrize("prompted", [2, 4])
def test_bf16_is_close_and_its_copy_shares_what_lies_below(folder: Path, prompted: int) -> None:
    half = loaded(folder, precision="bf16", prompted_layers=prompted)
    batch = half.preprocess(INPUTS)
    before = half.encode(batch)
    prefix = random_prefix(half.description, 3, 1)
    leaf = leaves(prefix)
    features = half.features(half.lower(batch), range(len(INPUTS)), leaf)
    (gradient,) = torch.autograd.grad(features[:, 0].sum(), [leaf.keys_values])
    assert gradient.dtype == torch.float32
    expected = half.encode(batch, Bank.stack([prefix]))
    assert 1e-6 < np.abs(features.detach().numpy() - expected).max() < 0.05
    assert np.array_equal(half.encode(batch), before), "the served model was changed"
    trainer = half._trainers[half.description.first_prompted]
    assert isinstance(trainer, T5Encoder)
    own = {id(p) for p in half.encoder.model.parameters()}
    copied = [p for p in trainer.model.parameters() if id(p) not in own]
    upper = trainer.model.block[half.description.first_prompted :]
    assert len(copied) == sum(len(list(block.parameters())) for block in upper) + 1  # final norm
    assert all(p.dtype == torch.bfloat16 for p in copied)


def test_input_tokens_stand_in_front_as_in_transformers(t5: T5Backbone, plain: Any) -> None:
    """As for a longer text, of which the text's own tokens are pooled."""
    batch = t5.preprocess(INPUTS)
    prefixes = [tokens(t5, length) for length in (0, 3, 20)]
    rows = np.arange(len(INPUTS)) % 3
    mixed = t5.encode_tokens(batch, TokenBank.stack(prefixes), rows)
    for index, row in enumerate(rows):
        ids, _ = padded(batch.select([index]))
        front = torch.from_numpy(prefixes[row].tokens)
        embedded = torch.cat([front, plain.shared(ids[0])])[None]
        with torch.inference_mode():
            hidden = plain.encoder(inputs_embeds=embedded).last_hidden_state[:, len(front) :]
        alone = pooled(hidden, torch.ones_like(ids))
        assert np.abs(mixed[index] - alone[0]).max() < 1e-5
    nothing = TokenBank.stack([TokenPrefix.empty(t5.description)])
    assert np.array_equal(t5.encode_tokens(batch, nothing), t5.encode(batch))


def test_token_features_are_differentiable_and_the_encoded_ones(t5: T5Backbone) -> None:
    batch = t5.preprocess(INPUTS)
    leaf = torch.tensor(tokens(t5, 3).tokens, requires_grad=True)
    features = t5.token_features(batch, [3, 0, 2], leaf)
    encoded = t5.encode_tokens(batch.select([3, 0, 2]), TokenBank.stack([tokens(t5, 3)]))
    assert np.abs(features.detach().numpy() - encoded).max() < 1e-5
    (gradient,) = torch.autograd.grad(features[:, :3].sum(), [leaf])
    assert (gradient.abs().amax(dim=1) > 0).all()


def label_ids(backbone: T5Backbone, label: str) -> torch.Tensor:
    return torch.from_numpy(backbone.preprocess([Input(label)]).fields["input_ids"][0])[None]


def plain_scores(backbone: T5Backbone, model: Any, batch: Preprocessed) -> FloatArray:
    """From the losses of transformers' own model, which are means over a label's tokens."""
    found = np.empty((len(batch), len(LABELS)), np.float32)
    for index, ids in enumerate(batch.fields["input_ids"]):
        for column, label in enumerate(LABELS):
            target = label_ids(backbone, label)
            with torch.inference_mode():
                loss = model(input_ids=torch.from_numpy(ids)[None], labels=target).loss
            found[index, column] = -loss.item() * target.shape[1]
    return found


def test_label_scores_are_the_losses_of_transformers(backbone: T5Backbone, folder: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).eval()
    batch = backbone.preprocess(INPUTS)
    scores = backbone.label_scores(batch, LABELS)
    expected = plain_scores(backbone, model, batch)
    assert scores.dtype == np.float32
    assert scores.shape == (len(INPUTS), len(LABELS))
    assert np.abs(scores - expected).max() < 1e-4
    assert np.ptp(scores, axis=0).max() > 0.01, "the input does not matter"


@pytest.mark.parametrize("form", ["keys and values", "input tokens"])
def test_label_scores_in_small_passes_are_the_same(
    t5: T5Backbone, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank: Bank | TokenBank = random_bank(t5.description, 43)
    if form == "input tokens":
        bank = TokenBank.stack([tokens(t5, length) for length in (0, 1, 4, 2)])
    batch, rows = t5.preprocess(INPUTS), np.arange(len(INPUTS)) % len(bank)
    expected = t5.label_scores(batch, LABELS, bank, rows)
    monkeypatch.setattr("backbones.text.t5.decoder._LOGITS", 3 * _SHAPE["vocab_size"])
    assert t5._decoder is not None
    assert t5._decoder.most_inputs == 3
    assert np.abs(t5.label_scores(batch, LABELS, bank, rows) - expected).max() < 1e-5
    order: IntArray = np.array([3, 0, 2, 1])
    again = t5.label_scores(batch, [LABELS[index] for index in order], bank, rows)
    assert np.abs(again - expected[:, order]).max() < 1e-5


def test_label_scores_under_prefixes_named_and_routed(t5: T5Backbone) -> None:
    batch = t5.preprocess(INPUTS)
    states = t5.encode_layers(batch).lower(t5.description.first_prompted)
    router = random_router(states, (3, 1, 2), 41)
    bank = replace(random_bank(t5.description, 43), routers=(router,))
    rows = np.arange(len(INPUTS)) % 4
    mixed = t5.label_scores(batch, LABELS, bank, rows)
    for index, row in enumerate(rows):
        one = Bank.stack([bank.prefix(int(row))])
        alone = t5.label_scores(batch.select([index]), LABELS, one)
        assert np.abs(mixed[index] - alone[0]).max() < 1e-4
    unprompted = t5.label_scores(batch, LABELS)
    assert np.abs(mixed - unprompted)[rows == 0].max() < 1e-4
    assert np.abs(mixed - unprompted)[rows != 0].max(axis=1).min() > 1e-3
    routed = t5.label_scores(batch, LABELS, bank, np.full(len(INPUTS), -1))
    named = t5.label_scores(batch, LABELS, bank, router.choose(states))
    assert np.abs(routed - named).max() < 1e-5


def test_label_scores_behind_input_tokens_are_prompt_tuning(t5: T5Backbone, plain: Any) -> None:
    """The decoder looks at the input tokens too, as where embeddings are put in front of a T5."""
    batch = t5.preprocess(INPUTS)
    prefixes = [tokens(t5, length) for length in (2, 0, 5)]
    rows = np.arange(len(INPUTS)) % 3
    scores = t5.label_scores(batch, LABELS, TokenBank.stack(prefixes), rows)
    for index, row in enumerate(rows):
        ids, _ = padded(batch.select([index]))
        front = torch.from_numpy(prefixes[row].tokens)
        embedded = torch.cat([front, plain.shared(ids[0])])[None]
        for column, label in enumerate(LABELS):
            target = label_ids(t5, label)
            with torch.inference_mode():
                loss = plain(inputs_embeds=embedded, labels=target).loss
            assert scores[index, column] == pytest.approx(-loss.item() * target.shape[1], abs=1e-4)


def test_label_scores_of_nothing(t5: T5Backbone) -> None:
    assert t5.label_scores(t5.preprocess([]), LABELS).shape == (0, len(LABELS))


@pytest.mark.parametrize("labels", [[], ["red", " "]])
def test_labels_are_checked(t5: T5Backbone, labels: list[str]) -> None:
    with pytest.raises(InvalidInput, match="at least one label, none empty"):
        t5.label_scores(t5.preprocess(INPUTS), labels)


def test_rows_of_label_scores_are_checked(t5: T5Backbone) -> None:
    batch = t5.preprocess(INPUTS)
    bank = random_bank(t5.description, 4)
    with pytest.raises(ShapeMismatch, match="none was given"):
        t5.label_scores(batch, LABELS, None, np.zeros(len(INPUTS), np.int64))
    with pytest.raises(ShapeMismatch, match="row 4 is outside"):
        t5.label_scores(batch, LABELS, bank, np.full(len(INPUTS), 4))
    with pytest.raises(RoutingUnavailable):
        t5.label_scores(batch, LABELS, bank, np.full(len(INPUTS), -1))


def test_other_encoder_decoders_are_refused(tmp_path: Path) -> None:
    from transformers import BartConfig, BartModel

    config = BartConfig(
        vocab_size=18, d_model=16, encoder_layers=2, decoder_layers=2, max_position_embeddings=32
    )
    with pytest.raises(UnsupportedModel, match=r"'bart' model.*t5 and mt5.*google-t5/t5-small"):
        load(str(save(lambda: BartModel(config), tmp_path)), device="cpu")


def test_missing_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["t5"], tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_layers": 5}))
    with pytest.raises(SourceError, match=r"lack the weights .*encoder\.block\.4"):
        loaded(folder)


def test_encoding_in_bf16_is_near(backbone: T5Backbone) -> None:
    check_near(backbone.in_bf16(), backbone, INPUTS, NEAR)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, torch sees none")
def test_a_gpu_gives_the_numbers_of_the_cpu(folders: dict[str, Path], t5: T5Backbone) -> None:
    gpu = loaded(folders["t5"], device="cuda", precision="bf16")
    check_backbone(gpu, INPUTS)
    check_trainable(gpu, INPUTS)
    batch = t5.preprocess(INPUTS)
    assert np.abs(gpu.encode(batch) - t5.encode(batch)).max() < 1e-4
    assert np.abs(gpu.label_scores(batch, LABELS) - t5.label_scores(batch, LABELS)).max() < 1e-3


@pytest.mark.slow
def test_the_encoder_computes_the_same_on_onnx(folders: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
    pytest.importorskip("backbones.onnx.backbone", reason="needs onnxruntime")
    from backbones.onnx.backbone import OnnxBackbone
    from backbones.onnx.export import export

    backbone = loaded(folders["flan"])
    export(backbone, tmp_path)
    engine = OnnxBackbone.load(tmp_path, "exported", threads=1)
    check_backbone(engine, INPUTS)
    check_same(backbone, engine, INPUTS)
