"""The fingerprint names the function, not the files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from backbones import SourceError, load
from backbones.fingerprint import fingerprint
from backbones.sources import resolve
from tests.backbones.models import SUPPORTED, save

SETTINGS: dict[str, str | int] = {"pooling": "mean", "max_length": 64}


def of(folder: Path, settings: dict[str, str | int] | None = None) -> str:
    source = resolve(str(folder))
    return fingerprint(source.folder, source.weights(), settings or {**SETTINGS})


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders["bert"], tmp_path / "elsewhere"))


def test_a_copy_elsewhere_in_another_process_has_the_same(
    folders: dict[str, Path], copied: Path
) -> None:
    program = (
        "from pathlib import Path; from backbones.fingerprint import fingerprint; "
        f"folder = Path({str(copied)!r}); "
        f"print(fingerprint(folder, [folder / 'model.safetensors'], {SETTINGS!r}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == of(folders["bert"])
    assert len(printed.strip()) == 64


def test_it_does_not_matter_how_weights_are_split(folders: dict[str, Path], tmp_path: Path) -> None:
    split = save(SUPPORTED["bert"], tmp_path, max_shard_size="20KB")
    assert len(resolve(str(split)).weights()) > 1
    assert of(split) == of(folders["bert"])
    assert load(str(split), device="cpu").description.heads == 4


def test_where_a_model_came_from_does_not_matter(folders: dict[str, Path], copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config |= {"_name_or_path": "/home/somebody", "transformers_version": "0"}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "README.md").write_text("about it")
    assert of(copied) == of(folders["bert"])


def test_a_weight_matters(folders: dict[str, Path], copied: Path) -> None:
    content = bytearray((copied / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copied / "model.safetensors").write_bytes(content)
    assert of(copied) != of(folders["bert"])


def test_names_shapes_and_types_of_tensors_matter(tmp_path: Path) -> None:
    variants: list[dict[str, NDArray[Any]]] = [
        {"a": np.zeros((2, 3), np.float32)},
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.zeros((2, 3), np.int32)},
        {"a": np.zeros((1, 3), np.float32), "b": np.zeros((1, 3), np.float32)},
    ]
    digests = set()
    for index, tensors in enumerate(variants):
        save_file(tensors, tmp_path / f"model-{index}.safetensors")
        digests.add(fingerprint(tmp_path, [tmp_path / f"model-{index}.safetensors"], {}))
    assert len(digests) == len(variants)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_configuration_and_tokenizer_matter(
    folders: dict[str, Path], copied: Path, file: str
) -> None:
    content = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps(content | {"something": "else"}))
    assert of(copied) != of(folders["bert"])


def test_pooling_and_max_length_matter(folders: dict[str, Path]) -> None:
    values: list[dict[str, str | int]] = [
        {**SETTINGS},
        {**SETTINGS, "pooling": "cls"},
        {**SETTINGS, "max_length": 32},
    ]
    assert len({of(folders["bert"], settings) for settings in values}) == 3


def test_architectures_differ(folders: dict[str, Path]) -> None:
    assert len({of(folder) for folder in folders.values()}) == len(folders)


def test_prompted_layers_do_not_matter(folders: dict[str, Path]) -> None:
    one = load(str(folders["bert"]), device="cpu", prompted_layers=1)
    three = load(str(folders["bert"]), device="cpu", prompted_layers=3)
    assert one.description.fingerprint == three.description.fingerprint


def test_a_broken_file_is_refused(copied: Path) -> None:
    (copied / "model.safetensors").write_bytes(b"\xff" * 8)
    with pytest.raises(SourceError, match="no safetensors file"):
        of(copied)
