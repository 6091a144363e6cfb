"""The room that sees: frozen transformers that can be asked to look under a prefix.

Importing it costs numpy only; torch and transformers are imported by `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from backbones.arrays import FloatArray, IntArray
from backbones.bank import NEVER, Bank, TokenBank
from backbones.contest import Chosen
from backbones.description import Description
from backbones.engines import choose_to_serve, in_bf16, in_int8, load_to_serve
from backbones.errors import (
    BackboneError,
    InvalidInput,
    RoutingUnavailable,
    ShapeMismatch,
    SourceError,
    UnsupportedModel,
)
from backbones.inputs import Input, Preprocessed
from backbones.layer_states import LayerStates
from backbones.prefix import Prefix, TokenPrefix
from backbones.protocol import Backbone, TokenBackbone, TrainableBackbone
from backbones.queries import Queries
from backbones.router import Router

if TYPE_CHECKING:
    from backbones.text.backbone import TorchTextBackbone
    from backbones.vision.backbone import TorchVisionBackbone

__all__ = [
    "NEVER",
    "Backbone",
    "BackboneError",
    "Bank",
    "Chosen",
    "Description",
    "FloatArray",
    "Input",
    "IntArray",
    "InvalidInput",
    "LayerStates",
    "Prefix",
    "Preprocessed",
    "Queries",
    "Router",
    "RoutingUnavailable",
    "ShapeMismatch",
    "SourceError",
    "TokenBackbone",
    "TokenBank",
    "TokenPrefix",
    "TrainableBackbone",
    "UnsupportedModel",
    "choose_to_serve",
    "in_bf16",
    "in_int8",
    "load",
    "load_to_serve",
]


def load(
    name: str,
    *,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    prompted_layers: int | None = None,
    threads: int | None = None,
    max_length: int = 256,
    image_size: int | None = None,
    max_pixels: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
) -> TorchTextBackbone | TorchVisionBackbone:
    """Load a backbone with the torch engine: what the name says, of text or of images.

    max_length: of texts, tokens;  image_size: of images, pixels of a side the model sees;
    max_pixels: of images as they come. See the two modules `loading` for the rest. Raises
    SourceError, UnsupportedModel.
    """
    from backbones.vision.sources import find_vision

    vision = find_vision(name)
    if vision is not None:
        from backbones.vision.loading import load as load_vision

        return load_vision(
            vision,
            device=device,
            prompted_layers=prompted_layers,
            threads=threads,
            image_size=image_size,
            max_pixels=max_pixels,
            precision=precision,
        )
    from backbones.sources import refuse_image_size
    from backbones.text.loading import load as load_text

    refuse_image_size(name, image_size)
    return load_text(
        name,
        device=device,
        prompted_layers=prompted_layers,
        threads=threads,
        max_length=max_length,
        precision=precision,
    )
