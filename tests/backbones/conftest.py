"""Small text backbones, saved and loaded once for the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from backbones.text.backbone import TorchTextBackbone
from backbones.text.loading import load
from tests.backbones.models import SUPPORTED, save


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved model of each supported architecture."""
    return {name: save(make, tmp_path_factory.mktemp(name)) for name, make in SUPPORTED.items()}


@pytest.fixture(scope="session", params=list(SUPPORTED))
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    """Each supported architecture in turn."""
    return folders[request.param]


@pytest.fixture(scope="session")
def backbone(folder: Path) -> TorchTextBackbone:
    """Each supported architecture in turn, loaded, training in fp32."""
    return load(str(folder), device="cpu", threads=1, precision="fp32")


@pytest.fixture(scope="session")
def bert(folders: dict[str, Path]) -> TorchTextBackbone:
    """One small BERT, where the architecture does not matter."""
    return load(str(folders["bert"]), device="cpu", threads=1, precision="fp32")
