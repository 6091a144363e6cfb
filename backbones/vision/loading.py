"""From a name to a vision backbone that is ready to encode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import torch

from backbones._torchvision import define_missing_operators
from backbones.description import Description
from backbones.errors import SourceError, UnsupportedModel
from backbones.fingerprint import fingerprint
from backbones.images import MAX_PIXELS
from backbones.passes.options import (
    Device,
    Precision,
    how_many_prompted,
    torch_device,
    trains_in_half,
)
from backbones.vision.backbone import Normalisation, TorchVisionBackbone
from backbones.vision.encoder import VisionEncoder, VisionModel
from backbones.vision.hugging_face import data_config, load_hugging_face
from backbones.vision.pixels import CropMode, Interpolation, PixelTransform
from backbones.vision.sources import VisionSource
from backbones.vision.timm_model import TimmModel, prepared

FEATURES: Final = "the model's own pooling, length 1; layers: mean of patches"
_CROP_MODES: Final[tuple[str, ...]] = get_args(CropMode)
_INTERPOLATIONS: Final[tuple[str, ...]] = get_args(Interpolation)


def load(
    found: VisionSource,
    *,
    device: Device = "auto",
    prompted_layers: int | None = None,
    threads: int | None = None,
    image_size: int | None = None,
    max_pixels: int | None = None,
    precision: Precision = "auto",
) -> TorchVisionBackbone:
    """Load what `find_vision` found as a frozen vision backbone.

    prompted_layers: how many upper layers see prefixes; None for two thirds (8 of 12)
    threads: torch's threads for this process; None leaves them as they are
    image_size: side of the square the model sees, pixels; None for the model's own. Positions are
        interpolated
    max_pixels: of an image before it is resized; None for `MAX_PIXELS`
    precision: of training; "auto" is bf16 where the hardware has it, fp32 elsewhere
    Raises SourceError (no usable files), UnsupportedModel (prefixes do not work on it).
    """
    if threads is not None:
        torch.set_num_threads(threads)
    place = torch_device(device)
    model, data = _model(found, image_size)
    model.module.to(place).eval().requires_grad_(False)
    side = int(data["size"])
    with torch.inference_mode():
        states = model.embedded(torch.zeros(1, 3, side, side, device=place))
    most = MAX_PIXELS if max_pixels is None else max_pixels
    transform = _transform(found.source.name, data, int(states.shape[1]), most)
    layers = len(model.blocks)
    prompted = how_many_prompted(layers, layers - layers // 3, prompted_layers)
    return TorchVisionBackbone(
        _description(found, model, data, transform, prompted, int(states.shape[2])),
        transform,
        Normalisation(tuple(data["mean"]), tuple(data["std"])),
        VisionEncoder(model),
        place,
        half=trains_in_half(precision, place),
    )


def _model(found: VisionSource, size: int | None) -> tuple[VisionModel, dict[str, Any]]:
    """The model, and its data configuration with the `size` it sees."""
    if found.library == "transformers":
        other = load_hugging_face(found.source)
        side = size or int(other.module.config.image_size)
        return other, {**data_config(found.source.folder), "size": side}
    return _timm_model(found, size)


def _timm_model(found: VisionSource, size: int | None) -> tuple[TimmModel, dict[str, Any]]:
    define_missing_operators()
    import timm
    from timm.data.config import resolve_model_data_config

    name, weights = found.source.name, found.source.weights()
    if len(weights) != 1:
        raise SourceError(f"backbone {name!r}: timm reads one safetensors file, not {len(weights)}")
    arguments = found.arguments | ({} if size is None else {"img_size": size})
    try:
        model = timm.create_model(
            found.architecture,
            pretrained=True,
            pretrained_cfg_overlay={**found.data, "file": str(weights[0])},
            **{**arguments, "num_classes": 0},
        )
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise SourceError(
            f"backbone {name!r} could not be loaded as timm's {found.architecture}: {error}"
        ) from error
    data: dict[str, Any] = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    parts = prepared(name, model)
    return parts, {**data, "size": size or int(data["input_size"][-1])}


def _transform(name: str, data: Mapping[str, Any], tokens: int, max_pixels: int) -> PixelTransform:
    mode, interpolation = str(data["crop_mode"]), str(data["interpolation"])
    if mode not in _CROP_MODES or interpolation not in _INTERPOLATIONS:
        raise UnsupportedModel(
            f"backbone {name!r} asks for crop mode {mode!r} and interpolation {interpolation!r}; "
            f"known are {', '.join(_CROP_MODES)} and {', '.join(_INTERPOLATIONS)}"
        )
    return PixelTransform(
        size=int(data["size"]),
        tokens=tokens,
        crop_share=float(data["crop_pct"]),
        interpolation=interpolation,  # type: ignore[arg-type]  # one of _INTERPOLATIONS
        crop_mode=mode,  # type: ignore[arg-type]
        max_pixels=max_pixels,
    )


def _description(
    found: VisionSource,
    model: VisionModel,
    data: Mapping[str, Any],
    transform: PixelTransform,
    prompted: int,
    width: int,
) -> Description:
    settings: dict[str, str | int] = {
        "architecture": found.architecture,
        "features": FEATURES,
        "size": transform.size,
        "crop": f"{transform.crop_mode} {transform.crop_share:g} {transform.interpolation}",
        "normalisation": f"{list(data['mean'])} {list(data['std'])}",
    }
    return Description(
        name=found.source.name,
        modality="vision",
        layers=len(model.blocks),
        heads=model.heads,
        width=width,
        head_dim=width // model.heads,
        max_length=transform.tokens,
        prompted_layers=prompted,
        fingerprint=fingerprint(found.source.folder, found.source.weights(), settings),
    )
