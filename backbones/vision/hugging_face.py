"""Vision transformers of transformers (ViT, DINOv2), through the attention function of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from backbones._torchvision import define_missing_operators
from backbones.errors import UnsupportedModel
from backbones.pretrained import pretrained
from backbones.sources import Source

_IMAGENET: Final = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_INTERPOLATION: Final = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box"}


class HuggingFaceModel:
    """A ViTModel or Dinov2Model as the parts that `VisionEncoder` runs.

    Features are the class token of the normed last states.
    """

    def __init__(self, model: nn.Module) -> None:
        self.module: Final[Any] = model

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer layers, lowest first."""
        return list(_layers(self.module))

    @property
    def leading(self) -> int:
        """Class token and registers."""
        return 1 + int(getattr(self.module.config, "num_register_tokens", 0) or 0)

    @property
    def heads(self) -> int:
        """Attention heads of a block."""
        return int(self.module.config.num_attention_heads)

    def embedded(self, pixels: Tensor) -> Tensor:
        """Patches and positions, interpolated where the image is not of the usual size."""
        size = pixels.shape[-1]
        usual = self.module.config.image_size
        extra = {}
        if self.module.config.model_type == "vit" and size != usual:
            extra["interpolate_pos_encoding"] = True
        hidden: Tensor = self.module.embeddings(pixels, **extra)
        return hidden

    def finished(self, hidden: Tensor) -> Tensor:
        """The final norm."""
        normed: Tensor = self.module.layernorm(hidden)
        return normed

    def pooled(self, hidden: Tensor) -> Tensor:
        """The class token."""
        return hidden[:, 0]

    def of(self, module: nn.Module) -> HuggingFaceModel:
        """The parts of a copy of the model."""
        return HuggingFaceModel(module)


def load_hugging_face(source: Source) -> HuggingFaceModel:
    """The frozen model of a folder. Raises SourceError, UnsupportedModel."""
    define_missing_operators()
    from transformers import AutoModel

    from backbones.text import attention

    attention.register()
    model = pretrained(AutoModel, source, attention.NAME)
    if not hasattr(model, "layernorm") or not hasattr(model, "embeddings"):
        raise UnsupportedModel(
            f"backbone {source.name!r} is a {type(model).__name__}; of transformers' vision models "
            "ViT and DINOv2 take prefixes"
        )
    _layers(model)
    return HuggingFaceModel(model)


def data_config(folder: Path) -> dict[str, Any]:
    """mean, std, interpolation and crop in timm's words, from preprocessor_config.json.

    Where the file is missing, what most models of ImageNet expect.
    """
    path = folder / "preprocessor_config.json"
    content = json.loads(path.read_bytes()) if path.is_file() else {}
    config: dict[str, Any] = {
        "mean": content.get("image_mean") or _IMAGENET["mean"],
        "std": content.get("image_std") or _IMAGENET["std"],
        "interpolation": _INTERPOLATION.get(content.get("resample", 3), "bicubic"),
        "crop_mode": "center" if content.get("do_center_crop") else "squash",
        "crop_pct": 1.0,
    }
    shorter = (content.get("size") or {}).get("shortest_edge")
    cropped = (content.get("crop_size") or {}).get("height")
    if config["crop_mode"] == "center" and shorter and cropped:
        config["crop_pct"] = cropped / shorter
    return config


def _layers(model: Any) -> Sequence[nn.Module]:
    for place in ("layers", "encoder.layer", "encoder.layers"):
        found: Any = model
        for name in place.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.ModuleList):
            return list(found)
    raise UnsupportedModel(
        f"{type(model).__name__} keeps its layers where they are not looked for; "
        "ViT and DINOv2 models take prefixes"
    )
