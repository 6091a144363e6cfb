"""Small vision backbones, saved and loaded once for the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from backbones.vision.backbone import TorchVisionBackbone
from backbones.vision.loading import load
from backbones.vision.sources import find_vision
from tests.backbones.vision.models import VISION


def load_vision(folder: Path, **options: object) -> TorchVisionBackbone:
    """On the CPU, one thread, training in fp32."""
    found = find_vision(str(folder))
    assert found is not None
    return load(found, device="cpu", threads=1, **{"precision": "fp32", **options})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def vision_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved model of each supported kind."""
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in VISION.items()}


@pytest.fixture(scope="session", params=list(VISION))
def vision_folder(request: pytest.FixtureRequest, vision_folders: dict[str, Path]) -> Path:
    """Each supported kind in turn."""
    return vision_folders[request.param]


@pytest.fixture(scope="session")
def vision(vision_folder: Path) -> TorchVisionBackbone:
    """Each supported kind in turn, loaded."""
    return load_vision(vision_folder)


@pytest.fixture(scope="session")
def vit(vision_folders: dict[str, Path]) -> TorchVisionBackbone:
    """One small timm ViT, where the kind does not matter."""
    return load_vision(vision_folders["timm"])
