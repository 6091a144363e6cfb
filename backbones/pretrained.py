"""Frozen models of transformers, read from safetensors alone."""

from __future__ import annotations

from typing import Any

import torch

from backbones.errors import SourceError
from backbones.sources import Source


def pretrained(kind: Any, source: Source, attention: str, config: Any = None) -> Any:
    """The model in a folder, in eval mode, its parameters without gradient.

    kind: one of transformers' Auto classes;  attention: the name of a registered function
    config: None for the folder's own. Raises SourceError.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    options = {} if config is None else {"config": config}
    try:
        model, found = kind.from_pretrained(
            source.folder,
            attn_implementation=attention,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except (ValueError, OSError, KeyError) as error:
        raise SourceError(f"backbone {source.name!r} could not be loaded: {error}") from error
    missing = sorted(key for key in found["missing_keys"] if "pooler" not in key)
    if missing:
        raise SourceError(f"backbone {source.name!r}: its files lack the weights {missing[:5]}")
    return model.eval().requires_grad_(False)
