"""The name of the function a backbone computes.

Two processes that agree on the fingerprint give the same features for the same inputs, so
statistics and prefixes may pass between them. It reads files only, so any engine can compute it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from backbones.errors import SourceError

FORMAT: Final = "perennial-fingerprint-1"

_TOKENIZER_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)

# Where a model came from and who wrote it down; nothing of it changes a feature.
_INCIDENTAL: Final = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "tokenizer_file", "model_max_length"}
    | {"special_tokens_map_file", "architectures", "torch_dtype", "dtype", "use_cache"}
)


def fingerprint(folder: Path, weights: Sequence[Path], settings: Mapping[str, str | int]) -> str:
    """sha256 (hex) over the sorted tensors, the configuration, the tokenizer and `settings`.

    folder: holds config.json and the tokenizer's files (absent ones are left out)
    weights: safetensors files; how the tensors are split over them does not matter
    settings: what else decides a feature (pooling, max_length)
    Raises SourceError where a file is not what its name says.
    """
    digest = hashlib.sha256(FORMAT.encode())
    for part in (*_configuration(folder), json.dumps(dict(settings), sort_keys=True).encode()):
        _add(digest, part)
    tensors = {name: data for path in weights for name, data in _tensors(path)}
    for name in sorted(tensors):
        _add(digest, name.encode())
        _add(digest, tensors[name])
    return digest.hexdigest()


def _configuration(folder: Path) -> Iterator[bytes]:
    for name in ("config.json", *_TOKENIZER_FILES):
        path = folder / name
        if not path.is_file():
            continue
        yield name.encode()
        yield _essential(path) if path.suffix == ".json" else path.read_bytes()


def _essential(path: Path) -> bytes:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise SourceError(f"{path} is not JSON ({error}); fetch the model again") from error
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key not in _INCIDENTAL}
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()


def _add(digest: hashlib._Hash, part: bytes | memoryview) -> None:
    digest.update(struct.pack("<Q", len(part)))
    digest.update(part)


def _tensors(path: Path) -> Iterator[tuple[str, memoryview]]:
    """Each tensor's name with its type and shape, and its bytes as they lie in the file."""
    header, start = _header(path)
    content = np.memmap(path, dtype=np.uint8, mode="r").data
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        yield f"{name} {entry['dtype']} {entry['shape']}", content[start + begin : start + end]


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensors a safetensors file declares, and where its data starts."""
    with path.open("rb") as file:
        prefix = file.read(8)
        size = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= size <= path.stat().st_size - 8:
            raise SourceError(f"{path} is no safetensors file; fetch the model again")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return header, 8 + size
