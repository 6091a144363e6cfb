"""The demo's toy backbone, and the letters it is pre-trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")

from backbones import Input, load
from benchmarks.demo.digits import LABELS
from benchmarks.demo.handwriting import CELLS, as_seen, handwritten
from benchmarks.demo.letters import ALPHABET, FONTS, letters
from benchmarks.demo.small_vit import is_there, make
from tests.backbones.vision.models import encoded, picture


def made(folder: Path, seed: int = 0, steps: int = 2) -> Path:
    make(folder, seed, steps, lambda: None)
    return folder


def fingerprint(folder: Path) -> str:
    return load(str(folder), device="cpu", threads=1).description.fingerprint


def test_letters_are_letters_in_every_font_and_no_digits() -> None:
    assert ALPHABET.isalpha()
    assert not set(ALPHABET) & set(LABELS)
    drawn = letters()
    assert len(drawn.ink) == len(drawn.classes) == len(ALPHABET) * len(FONTS)
    assert (drawn.ink.reshape(len(drawn.ink), -1).mean(axis=1) > 0.02).all()  # nothing is blank
    assert np.bincount(drawn.classes).tolist() == [len(FONTS)] * len(ALPHABET)
    same = drawn.ink[drawn.classes == ALPHABET.index("A")]
    assert len(np.unique(same.reshape(len(same), -1), axis=0)) == len(FONTS)


def test_a_hand_writes_differently_each_time_and_the_same_by_seed() -> None:
    ink = torch.from_numpy(letters().ink[:6])[:, None]
    draw = torch.Generator().manual_seed(1)
    one, other = handwritten(ink, draw), handwritten(ink, draw)
    assert one.shape == (6, 1, CELLS, CELLS)
    assert not torch.equal(one, other)
    assert torch.equal(one, handwritten(ink, torch.Generator().manual_seed(1)))
    assert 0 <= one.min() < one.max() <= 1
    seen = as_seen(one, 32)
    assert seen.shape == (6, 3, 32, 32)
    assert -1 <= seen.min() < 0 < seen.max() <= 1


def test_the_saved_folder_loads_and_sees(tmp_path: Path) -> None:
    backbone = load(str(made(tmp_path)), device="cpu", threads=1)
    assert backbone.description.modality == "vision"
    pixels = backbone.preprocess([Input(image=encoded(picture(seed))) for seed in range(3)])
    assert pixels.fields["pixels"][0].shape == (3, 32, 32)


def test_the_same_seed_makes_the_same_backbone(tmp_path: Path) -> None:
    first = fingerprint(made(tmp_path / "a"))
    assert fingerprint(made(tmp_path / "b")) == first
    assert fingerprint(made(tmp_path / "c", seed=1)) != first


def test_every_step_is_told_and_changes_the_weights(tmp_path: Path) -> None:
    told: list[None] = []
    make(tmp_path / "three", 0, 3, lambda: told.append(None))
    assert len(told) == 3
    assert fingerprint(tmp_path / "three") != fingerprint(made(tmp_path / "two"))


def test_what_is_there_is_known_by_its_recipe(tmp_path: Path) -> None:
    assert not is_there(tmp_path, 0, 2)
    made(tmp_path)
    assert is_there(tmp_path, 0, 2)
    assert not is_there(tmp_path, 1, 2)
    assert not is_there(tmp_path, 0, 3)
    (tmp_path / "model.safetensors").unlink()
    assert not is_there(tmp_path, 0, 2)
    assert json.loads((tmp_path / "config.json").read_bytes())["pretraining"]["steps"] == 2
