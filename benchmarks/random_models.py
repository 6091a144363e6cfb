"""Models of well-known shapes with random weights: as fast as trained ones, and there offline."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from backbones._torchvision import define_missing_operators

_VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def save_vit(folder: Path, architecture: str = "vit_base_patch16_224") -> Path:
    """A vision transformer of timm, as timm saves it for the Hub, in an empty `folder`."""
    define_missing_operators()
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model(architecture, pretrained=False, num_classes=0)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": architecture}))
    return folder


def save_bert(folder: Path, *, layers: int = 12, width: int = 384) -> Path:
    """A BERT of MiniLM-L12's shape unless told otherwise, and a tokenizer that knows no word."""
    define_missing_operators()
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=4 * width,
        initializer_range=0.1,
    )
    BertModel(config).save_pretrained(folder)
    _tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer() -> Tokenizer:
    """A token a word, and the two special ones around them."""
    ids = {token: number for number, token in enumerate(_VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return tokenizer
