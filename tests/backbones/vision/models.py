"""Small vision transformers with random weights, and small pictures, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from backbones import FloatArray, Input, Preprocessed
from backbones._torchvision import define_missing_operators

SIDE: Final = 32
_HUGGING_FACE: Final = {
    "image_size": SIDE,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.2,
}
_TIMM: Final = {
    "img_size": SIDE,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 3,
    "num_heads": 4,
    "mlp_ratio": 1.5,
    "num_classes": 0,
}
_TIMM_DATA: Final = {
    "input_size": [3, SIDE, SIDE],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "crop_pct": 0.9,
    "num_classes": 0,
}


def timm_vit(folder: Path, **arguments: Any) -> Path:
    """A VisionTransformer as timm saves it for the Hub: config.json and model.safetensors."""
    define_missing_operators()
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    shape = {**_TIMM, **arguments}
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, **shape)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "pos" not in name:
                weight.normal_(std=0.2)
    config = {
        "architecture": "vit_tiny_patch16_224",
        "model_args": shape,
        "pretrained_cfg": _TIMM_DATA,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def hugging_face(kind: str, folder: Path) -> Path:
    """A ViT or DINOv2 as transformers saves it."""
    define_missing_operators()
    import transformers

    torch.manual_seed(0)
    config: Any = getattr(transformers, f"{kind}Config")(**_HUGGING_FACE)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    wanted = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(wanted))
    return folder


VISION: Final[dict[str, Callable[[Path], Path]]] = {
    "timm": timm_vit,
    "timm-average": lambda folder: timm_vit(folder, global_pool="avg", class_token=False),
    "timm-registers": lambda folder: timm_vit(folder, reg_tokens=2, qk_norm=True, init_values=0.1),
    "vit": lambda folder: hugging_face("ViT", folder),
    "dinov2": lambda folder: hugging_face("Dinov2", folder),
}


def picture(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Soft coloured blobs: what differs between seeds is what the picture shows, not noise."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, size=(4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


IMAGES: Final = [
    Input(image=encoded(picture(seed, 20 + 9 * seed, 50 - 4 * seed))) for seed in range(6)
]


def plain_features(folder: Path) -> Callable[[Preprocessed], FloatArray]:
    """What the library's own model makes of pixels, of length 1."""
    config = json.loads((folder / "config.json").read_bytes())
    features = _plain_timm if "architecture" in config else _plain_hugging_face
    return features(folder, config)


def _plain_timm(folder: Path, config: dict[str, Any]) -> Callable[[Preprocessed], FloatArray]:
    import timm
    from safetensors.torch import load_file

    model = timm.create_model(config["architecture"], pretrained=False, **config["model_args"])
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    return lambda batch: _of_length_one(model(_normalised(batch, 0.5, 0.5)))


def _plain_hugging_face(
    folder: Path, config: dict[str, Any]
) -> Callable[[Preprocessed], FloatArray]:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    return lambda batch: _of_length_one(
        model(pixel_values=_normalised(batch, 0.5, 0.25)).last_hidden_state[:, 0]
    )


def _normalised(batch: Preprocessed, mean: float, std: float) -> torch.Tensor:
    pixels = torch.from_numpy(np.stack(batch.fields["pixels"]))
    return (pixels.float() / 255 - mean) / std


def _of_length_one(features: torch.Tensor) -> FloatArray:
    array: FloatArray = torch.nn.functional.normalize(features.detach(), dim=-1).numpy()
    return array
