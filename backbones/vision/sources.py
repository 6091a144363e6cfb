"""Where a vision model's files are: a folder, a timm name, or the Hugging Face Hub."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from backbones._torchvision import define_missing_operators
from backbones.errors import SourceError
from backbones.sources import PACKAGED, Source, find

Library: TypeAlias = Literal["timm", "transformers"]

_TIMM_HUB: Final = "timm/"


@dataclass(frozen=True)
class VisionSource:
    """A folder with one vision model's weights.

    architecture: timm's name of it, with timm
    arguments: of timm's constructor;  data: timm's data configuration, as far as the folder has it
    """

    source: Source
    library: Library
    architecture: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)


def find_vision(name: str) -> VisionSource | None:
    """The vision model of this name, None where the name is no vision model's.

    A folder with timm's config.json or one of Hugging Face; a folder of weights alone that bears
    the name of a timm model; a timm name; an id of the Hub. Raises SourceError.
    """
    if name in PACKAGED:
        return None
    if not Path(name).expanduser().is_dir() and "/" not in name and _is_timm(name):
        return _of_folder(find(_TIMM_HUB + name))
    return _of_folder(find(name))


def _of_folder(source: Source) -> VisionSource | None:
    config = _config(source)
    if config is None:
        return _named_folder(source)
    if "architecture" in config:  # as timm writes it for the Hub
        return VisionSource(
            source,
            "timm",
            architecture=str(config["architecture"]),
            arguments=dict(config.get("model_args") or {}),
            data=dict(config.get("pretrained_cfg") or {}),
        )
    sees = "patch_size" in config and "vocab_size" not in config
    return VisionSource(source, "transformers") if sees else None


def _named_folder(source: Source) -> VisionSource | None:
    """Weights alone, in a folder that is called like a timm model."""
    architecture = source.folder.name
    if not list(source.folder.glob("model*.safetensors")) or not _is_timm(architecture):
        return None
    return VisionSource(source, "timm", architecture=architecture)


def _config(source: Source) -> dict[str, Any] | None:
    path = source.folder / "config.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise SourceError(
            f"backbone {source.name!r}: {path} is not JSON ({error}); fetch the model again"
        ) from error
    return content if isinstance(content, dict) else {}


def _is_timm(name: str) -> bool:
    define_missing_operators()
    import timm

    return bool(timm.is_model(name.partition(".")[0]))
