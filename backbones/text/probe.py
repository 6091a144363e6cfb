"""A short self-check at load: does this model really follow the context of a pass?

A model that takes the attention function but drops keyword arguments on the way would silently
ignore every prefix. So it is asked, on a few tokens, before anybody trusts it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from backbones.arrays import FloatArray
from backbones.bank import NEVER
from backbones.errors import UnsupportedModel
from backbones.inputs import Input, Preprocessed
from backbones.prefix import Prefix
from backbones.text.backbone import TorchTextBackbone

_TEXTS: Final = (Input("hello"), Input("a text of a few more words, so that one is padded"))
_SAME: Final = 1e-4
_ROWS: Final = 2


def probe(backbone: TorchTextBackbone) -> None:
    """Raises UnsupportedModel where prefixes, resuming or input tokens do not work."""
    batch = backbone.preprocess(_TEXTS)
    try:
        complaint = _complaint(backbone, batch)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
        complaint = f"a pass with a context fails ({type(error).__name__}: {error})"
        raise UnsupportedModel(_refusal(backbone, complaint)) from error
    if complaint is not None:
        raise UnsupportedModel(_refusal(backbone, complaint))


def _complaint(backbone: TorchTextBackbone, batch: Preprocessed) -> str | None:
    plain = backbone.encode(batch)
    lower = backbone.lower(batch)
    prefix = _random_prefix(backbone, bias=0.0)
    if not np.isfinite(plain).all():
        return "its features are not finite"
    if len(backbone.queries(lower, prefix, 1, 0)) != backbone.description.prompted_layers:
        return "the context does not reach the attention of every prompted layer"
    if _differ(backbone.encode_lower(lower, Prefix.empty(backbone.description)), plain):
        return "a pass resumed at the first prompted layer gives other features"
    if not _differ(backbone.encode_lower(lower, prefix), plain):
        return "a prefix does not change its features"
    if _differ(backbone.encode_lower(lower, _random_prefix(backbone, bias=NEVER)), plain):
        return "a prefix that no token attends to changes its features"
    if _differ(backbone.embedded_apart(batch), plain):
        return "its positions are not those that input tokens assume"
    return None


def _differ(one: FloatArray, other: FloatArray) -> bool:
    return bool(np.abs(one - other).max() > _SAME)


def _random_prefix(backbone: TorchTextBackbone, *, bias: float) -> Prefix:
    shape = backbone.description.prefix_shape(_ROWS)
    generator = torch.Generator().manual_seed(0)
    keys_values = torch.randn(shape, generator=generator).numpy()
    return Prefix(keys_values, np.full((shape[0], shape[2], _ROWS), bias, np.float32))


def _refusal(backbone: TorchTextBackbone, complaint: str) -> str:
    return f"backbone {backbone.description.name!r} cannot be used with prompts: {complaint}"
