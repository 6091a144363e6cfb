"""`perennial bench gpu`: what it says without a GPU, and what it measures, here on the CPU."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import torch
from click.testing import CliRunner

from backbones import load
from benchmarks.gpu import AGREED, markdown, matrix_rate, run_gpu
from benchmarks.random_models import save_bert, save_vit
from perennial.cli import main

on_a_gpu = torch.cuda.is_available()


@pytest.mark.skipif(on_a_gpu, reason="this machine has a GPU")
def test_without_a_gpu_it_ends_and_says_what_it_needs(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    result = CliRunner().invoke(main, ["bench", "gpu", "--json", str(out)])
    assert result.exit_code == 1
    assert "needs an NVIDIA GPU" in result.output
    assert "pip install 'perennial[gpu]'" in result.output
    assert f"torch {torch.__version__} sees no CUDA device" in result.output
    assert not out.exists()


def test_a_random_vision_transformer_is_a_backbone(tmp_path: Path) -> None:
    about = load(str(save_vit(tmp_path, "vit_tiny_patch16_224")), device="cpu").description
    assert (about.layers, about.width, about.max_length) == (12, 192, 197)


@pytest.mark.long
def test_every_engine_is_timed_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bert").mkdir()
    folder = save_bert(tmp_path / "bert", layers=2, width=48)
    rates = {precision: matrix_rate(precision, "cpu", side=128) for precision in ("fp32", "bf16")}
    speeds = run_gpu(str(folder), [4, 16], rounds=2, rates=rates, device="cpu")
    assert [(one.inputs, one.precision) for one in speeds] == [
        (size, precision) for size in (4, 16) for precision in ("fp32", "fp32", "bf16")
    ]
    assert all(one.per_second > 0 and one.share > 0 and one.agrees for one in speeds)
    onnx, own, rounded, *_ = speeds
    assert own.distance == 0
    assert onnx.distance < AGREED / 100
    assert rounded.distance > onnx.distance
    assert onnx.share / own.share == pytest.approx(onnx.per_second / own.per_second)
    assert len(markdown(speeds).splitlines()) == 2 + len(speeds)


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.skipif(not on_a_gpu, reason="needs a CUDA device, torch sees none")
def test_on_a_gpu_it_writes_what_it_measured(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    folder, out = save_bert(tmp_path / "bert", layers=2, width=48), tmp_path / "gpu.json"
    arguments = ["--backbone", folder, "--batch", 8, "--rounds", 2, "--json", out]
    result = CliRunner().invoke(main, ["bench", "gpu", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    content = orjson.loads(out.read_bytes())
    assert content["operations_per_second"]["bf16"] > content["operations_per_second"]["fp32"]
    assert len(content["rows"]) == 3
