"""A quantised export: nearly the same states, an engine of its own, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from backbones import UnsupportedModel, in_int8
from backbones.checks import random_bank, random_router
from backbones.text.backbone import TorchTextBackbone
from tests.backbones.models import INPUTS

pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
pytest.importorskip("backbones.onnx.backbone", reason="needs onnxruntime")

from backbones.onnx import int8
from backbones.onnx.backbone import OnnxBackbone
from backbones.onnx.export import export

pytestmark = pytest.mark.slow

NEAR = 0.99
"""Least cosine of a state in int8 with the same in fp32; random weights round worse than real."""


@pytest.fixture(scope="module")
def folder(bert: TorchTextBackbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "bert"
    folder.mkdir()
    export(bert, folder)
    return folder


@pytest.fixture(scope="module")
def fp32(folder: Path) -> OnnxBackbone:
    return OnnxBackbone.load(folder, "bert", threads=1)


def test_every_layer_is_nearly_that_of_fp32_named_and_routed(fp32: OnnxBackbone) -> None:
    about, rounded = fp32.description, in_int8(fp32)
    batch = fp32.preprocess(INPUTS)
    lower = fp32.encode_layers(batch).lower(about.first_prompted)
    router = random_router(lower, (3, 1, 2), 41)
    bank = random_bank(about, 3)
    bank = type(bank)(bank.keys_values, bank.bias, (router,))
    for rows in (np.arange(len(batch)) % len(bank), np.full(len(batch), -1)):
        exact, near = (one.encode_layers(batch, bank, rows) for one in (fp32, rounded))
        cosines = (exact.pooled * near.pooled).sum(axis=2)
        assert cosines.min() > NEAR
        assert not np.array_equal(exact.features, near.features)
        assert near.rows.tolist() == exact.rows.tolist()


def test_it_is_another_function_that_reads_alike(fp32: OnnxBackbone) -> None:
    rounded = in_int8(fp32)
    assert rounded.description.fingerprint != fp32.description.fingerprint
    assert rounded.description.name == fp32.description.name
    read, again = (one.preprocess(INPUTS).fields["input_ids"] for one in (fp32, rounded))
    assert all(map(np.array_equal, read, again))


def test_it_is_made_once_for_each_processor(
    folder: Path, fp32: OnnxBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = int8.quantised(folder, "bert")
    assert [path.name for path in kept.iterdir()] == ["model.onnx"]
    made = kept.stat().st_mtime_ns
    assert int8.quantised(folder, "bert") == kept
    assert kept.stat().st_mtime_ns == made
    monkeypatch.setattr(int8, "_processor", lambda: "another")
    other = int8.quantised(folder, "bert")
    assert other != kept
    assert fp32.quantised().description.fingerprint == other.name


def test_what_cannot_be_quantised_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    broken = shutil.copytree(folder, tmp_path / "cache" / "broken")
    fp32 = OnnxBackbone.load(broken, "broken", threads=1)
    (broken / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UnsupportedModel, match="'broken' could not be quantised to int8"):
        in_int8(fp32)
    assert [path for path in broken.parent.iterdir() if path.is_dir()] == [broken]


def test_torch_has_no_int8(bert: TorchTextBackbone) -> None:
    with pytest.raises(UnsupportedModel, match="served with torch: choose runtime 'onnx'"):
        in_int8(bert)
