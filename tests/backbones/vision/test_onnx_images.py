"""Every supported vision model, exported, and the limits a server sets on images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backbones import Input, InvalidInput, load_to_serve
from backbones.checks import check_backbone, check_same
from tests.backbones.vision.conftest import load_vision
from tests.backbones.vision.models import IMAGES, encoded, picture, timm_vit

pytest.importorskip("onnxscript", reason="exporting needs onnx and onnxscript")
pytest.importorskip("backbones.onnx.backbone", reason="needs onnxruntime")

from backbones.onnx.backbone import OnnxBackbone
from backbones.onnx.export import export

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["timm", "timm-registers", "dinov2"])
def test_a_vision_backbone_computes_the_same(
    vision_folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    vision = load_vision(vision_folders[kind])
    export(vision, tmp_path)
    engine = OnnxBackbone.load(tmp_path, "exported", threads=1)
    check_backbone(engine, IMAGES)
    check_same(vision, engine, IMAGES)


def test_size_and_pixels_are_those_the_server_says(
    tmp_path: Path, vision_folders: dict[str, Path]
) -> None:
    name = str(vision_folders["timm"])
    engine = load_to_serve(
        name, runtime="onnx", cache=tmp_path, image_size=48, max_pixels=900, threads=1
    )
    assert engine.description.name == name
    small, large = (Input(image=encoded(picture(0, side, side))) for side in (30, 31))
    assert engine.preprocess([small]).fields["pixels"][0].shape == (3, 48, 48)
    with pytest.raises(InvalidInput, match="900"):
        engine.preprocess([small, large])


def test_a_timm_name_is_found_where_the_hub_keeps_it(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--timm--vit_tiny_patch16_224"
    (cached / "snapshots" / "abc").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    timm_vit(cached / "snapshots" / "abc")
    script = "import sys; from pathlib import Path; from backbones import load_to_serve\n"
    script += "found = load_to_serve(sys.argv[1], cache=Path(sys.argv[2]), runtime='onnx')\n"
    script += "print(found.runtime, found.description.name)"
    command = [sys.executable, "-c", script, "vit_tiny_patch16_224", str(tmp_path / "onnx")]
    variables = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    assert done.stdout.split() == ["onnx", "vit_tiny_patch16_224"]
