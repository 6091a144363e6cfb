"""From a name to a backbone that is ready to encode."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from backbones._torchvision import define_missing_operators
from backbones.description import Description
from backbones.errors import SourceError, UnsupportedModel
from backbones.fingerprint import fingerprint
from backbones.passes.options import (
    Device,
    Precision,
    how_many_prompted,
    torch_device,
    trains_in_half,
)
from backbones.pretrained import pretrained
from backbones.sources import Source, resolve
from backbones.text.backbone import TorchTextBackbone
from backbones.text.encoder import TextEncoder
from backbones.text.layers import find_layers, follow_context
from backbones.text.probe import probe
from backbones.text.t5.backbone import T5Backbone
from backbones.text.t5.decoder import LabelDecoder
from backbones.text.t5.encoder import T5Encoder
from backbones.text.tokens import TextTokens

MAX_LENGTH: Final = 256
_VOCABULARIES: Final = (
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)
POOLING: Final = "mean-of-tokens, length 1"
_T5: Final = ("t5", "mt5")
"""Model types whose encoder is `T5Encoder`."""


def load(
    name: str,
    *,
    device: Device = "auto",
    prompted_layers: int | None = None,
    threads: int | None = None,
    max_length: int = MAX_LENGTH,
    precision: Precision = "auto",
) -> TorchTextBackbone:
    """Load 'minilm', a local folder, or a Hugging Face id as a frozen text backbone.

    prompted_layers: how many upper layers see prefixes; None for the upper half
    threads: torch's threads for this process; None leaves them as they are
    max_length: tokens after which a text is cut, at most what the model can
    precision: of training; "auto" is bf16 where the hardware has it, fp32 elsewhere
    Raises SourceError (no usable files), UnsupportedModel (prefixes do not work on it).
    """
    source = resolve(name)
    if threads is not None:
        torch.set_num_threads(threads)
    place = torch_device(device)
    config = _config(source)
    encoder, decoder = _parts(source, config, place)
    length = min(max_length, _positions(config) - encoder.first_position)
    layers = int(config.num_hidden_layers)
    prompted = how_many_prompted(layers, layers // 2, prompted_layers)
    description = _description(source, config, prompted, length)
    tokens = _tokens(source.folder, config, length)
    half = trains_in_half(precision, place)
    backbone = (
        T5Backbone(description, tokens, encoder, place, half=half, decoder=decoder)
        if isinstance(encoder, T5Encoder)
        else TorchTextBackbone(description, tokens, encoder, place, half=half)
    )
    probe(backbone)
    return backbone


def _parts(
    source: Source, config: Any, place: torch.device
) -> tuple[TextEncoder, LabelDecoder | None]:
    """The encoder, and the decoder where there is one."""
    if config.model_type in _T5:
        return _t5_parts(source, config, place)
    from transformers import AutoModel

    from backbones.text import attention

    attention.register()
    model = pretrained(AutoModel, source, attention.NAME, config).to(place)
    layers = find_layers(model, config.num_hidden_layers)
    follow_context(layers)
    return TextEncoder(model, len(layers)), None


def _t5_parts(
    source: Source, config: Any, place: torch.device
) -> tuple[T5Encoder, LabelDecoder | None]:
    from transformers import AutoModelForSeq2SeqLM, AutoModelForTextEncoding

    from backbones.text.t5 import attention

    attention.register()
    if any(str(name).endswith("EncoderModel") for name in config.architectures or ()):
        model = pretrained(AutoModelForTextEncoding, source, attention.NAME, config)
        return T5Encoder(model.to(place).encoder), None
    model = pretrained(AutoModelForSeq2SeqLM, source, attention.NAME, config).to(place)
    return T5Encoder(model.encoder), LabelDecoder(model)


def _config(source: Source) -> Any:
    define_missing_operators()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # replicas are forked
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False
        )
        architecture = AutoModel._model_mapping[type(config)]
    except (ValueError, OSError, KeyError) as error:
        raise SourceError(
            f"backbone {source.name!r}: its configuration is not one transformers knows "
            f"(code from model repositories is never run): {error}"
        ) from error
    if config.model_type in _T5:
        return config
    if config.is_encoder_decoder:
        raise UnsupportedModel(
            f"backbone {source.name!r} is a {config.model_type!r} model. Of models with encoder "
            f"and decoder only {' and '.join(_T5)} are known, say google-t5/t5-small or "
            "google/flan-t5-base."
        )
    positions = getattr(config, "position_embedding_type", None)
    if "relative" in str(positions):
        raise UnsupportedModel(
            f"backbone {source.name!r} was trained with positions of type {positions!r}, which "
            "transformers does not compute any more: it would leave them out without a word"
        )
    if not getattr(architecture, "_supports_attention_backend", False):
        raise UnsupportedModel(
            f"backbone {source.name!r} is a {config.model_type!r} model, which does not take "
            "attention functions from outside, so no prefix. BERT, RoBERTa, XLM-R, DistilBERT, "
            "ModernBERT and T5 models do."
        )
    return config


def _positions(config: Any) -> int:
    return int(getattr(config, "max_position_embeddings", None) or 1 << 20)


def _description(source: Source, config: Any, prompted: int, length: int) -> Description:
    heads = int(config.num_attention_heads)
    width = int(config.hidden_size)
    settings: dict[str, str | int] = {"pooling": POOLING, "max_length": length}
    return Description(
        name=source.name,
        modality="text",
        layers=int(config.num_hidden_layers),
        heads=heads,
        width=width,
        head_dim=int(getattr(config, "head_dim", None) or width // heads),
        max_length=length,
        prompted_layers=prompted,
        fingerprint=fingerprint(source.folder, source.weights(), settings),
    )


def _tokens(folder: Path, config: Any, length: int) -> TextTokens:
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else _converted(folder)
    types = int(getattr(config, "type_vocab_size", 0) or 0) > 1
    return TextTokens(tokenizer, length, types=types, pad=int(config.pad_token_id or 0))


def _converted(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    # Without a vocabulary transformers makes an empty tokenizer, and every word becomes unknown.
    if not any((folder / file).is_file() for file in _VOCABULARIES):
        raise SourceError(f"{folder} has no tokenizer: neither tokenizer.json nor a vocabulary")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        ).backend_tokenizer
    except (ValueError, OSError, AttributeError, ImportError) as error:
        raise SourceError(
            f"{folder} has no tokenizer.json, and its tokenizer could not be converted: {error}"
        ) from error
    if not isinstance(tokenizer, Tokenizer):
        raise SourceError(f"{folder}: its tokenizer has no fast form; add a tokenizer.json")
    return tokenizer
