"""Small models with random weights and a word tokenizer, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from backbones import FloatArray, Input, Preprocessed
from backbones._torchvision import define_missing_operators

define_missing_operators()  # before the first transformers model is imported

WORDS: Final = [
    "red",
    "green",
    "blue",
    "small",
    "large",
    "round",
    "flat",
    "old",
    "new",
    "far",
    "near",
    "left",
    "right",
    "up",
    "down",
]
SPECIAL: Final = ["<s>", "<pad>", "</s>", "<unk>"]
PAD: Final = 1

INPUTS: Final = [
    Input("red green blue"),
    Input("old"),
    Input("small round flat old new far near left right up down red green blue large"),
    Input("left right", "up down far"),
    Input(""),
    Input("a word nobody knows"),
]

_SHAPE: Final = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.2,
    "pad_token_id": PAD,
}


def _bert() -> Any:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**_SHAPE, max_position_embeddings=64))


def causal_bert() -> Any:
    """Sees of a text only what came before."""
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(**_SHAPE, max_position_embeddings=64, is_decoder=True))


def _roberta() -> Any:
    from transformers import RobertaConfig, RobertaModel

    return RobertaModel(RobertaConfig(**_SHAPE, max_position_embeddings=66, type_vocab_size=1))


def _xlm_roberta() -> Any:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    config = XLMRobertaConfig(**_SHAPE, max_position_embeddings=66, type_vocab_size=1)
    return XLMRobertaModel(config)


def _modernbert() -> Any:
    from transformers import ModernBertConfig, ModernBertModel

    ids = {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
    # A window of 8 tokens, so that the longer inputs reach beyond it on the local layers.
    return ModernBertModel(
        ModernBertConfig(**_SHAPE, **ids, max_position_embeddings=64, local_attention=8)
    )


def _distilbert() -> Any:
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(
        vocab_size=_SHAPE["vocab_size"],
        dim=32,
        n_layers=4,
        n_heads=4,
        hidden_dim=48,
        initializer_range=0.2,
        pad_token_id=PAD,
        max_position_embeddings=64,
    )
    return DistilBertModel(config)


def _mpnet() -> Any:
    from transformers import MPNetConfig, MPNetModel

    return MPNetModel(MPNetConfig(**_SHAPE, max_position_embeddings=66))


def _deberta() -> Any:
    from transformers import DebertaV2Config, DebertaV2Model

    return DebertaV2Model(DebertaV2Config(**_SHAPE, max_position_embeddings=64))


def _albert() -> Any:
    from transformers import AlbertConfig, AlbertModel

    return AlbertModel(AlbertConfig(**_SHAPE, max_position_embeddings=64))


SUPPORTED: Final[dict[str, Callable[[], Any]]] = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _xlm_roberta,
    "modernbert": _modernbert,
    "distilbert": _distilbert,
}
UNSUPPORTED: Final[dict[str, Callable[[], Any]]] = {
    "mpnet": _mpnet,
    "deberta-v2": _deberta,
    "albert": _albert,
}


def save(make: Callable[[], Any], folder: Path, **options: Any) -> Path:
    """Write a random model, always the same one, and its tokenizer into `folder`."""
    torch.manual_seed(0)
    make().save_pretrained(folder, **options)
    word_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def word_tokenizer() -> Tokenizer:
    """One token a word, <s> … </s> around a text, and between the two of a pair; <pad> is known."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(["<pad>"])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def plain_features(folder: Path) -> Callable[[Preprocessed], FloatArray]:
    """The untouched transformers model in `folder`: mean pool over the tokens, of length 1."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="sdpa", local_files_only=True)
    model.eval()

    def features(batch: Preprocessed) -> FloatArray:
        longest = int(batch.lengths.max())
        mask = torch.from_numpy(np.arange(longest) < batch.lengths[:, None]).long()
        padding = {"input_ids": int(model.config.pad_token_id), "token_type_ids": 0}
        inputs = {
            name: torch.stack(
                [
                    torch.nn.functional.pad(
                        torch.from_numpy(one), (0, longest - len(one)), value=padding[name]
                    )
                    for one in arrays
                ]
            )
            for name, arrays in batch.fields.items()
        }
        with torch.inference_mode():
            hidden = model(**inputs, attention_mask=mask).last_hidden_state
        kept = mask.unsqueeze(-1).float()
        mean = (hidden * kept).sum(dim=1) / kept.sum(dim=1)
        array: FloatArray = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return array

    return features
