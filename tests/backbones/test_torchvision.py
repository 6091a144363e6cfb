"""A torchvision whose operators do not load is mended, a healthy one is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
import torch
# What torchvision/_meta_registrations.py does: it fails where the compiled operators are missing.
@torch.library.register_fake("torchvision::nms")
def meta_nms(dets, scores, iou_threshold):
    return dets.new_empty((0,), dtype=torch.long)
"""
HEALTHY = "loaded = True"
OTHERWISE = "raise RuntimeError('something else')"

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from backbones._torchvision import define_missing_operators
print(define_missing_operators(), define_missing_operators())
import torchvision
"""


def mend(folder: Path, content: str | None) -> subprocess.CompletedProcess[str]:
    if content is not None:
        (folder / "torchvision").mkdir()
        (folder / "torchvision" / "__init__.py").write_text("from torchvision import _part\n")
        (folder / "torchvision" / "_part.py").write_text(content)
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_missing_operators_are_declared(tmp_path: Path) -> None:
    unmended = subprocess.run(
        [sys.executable, "-c", BROKEN], capture_output=True, text=True, check=False
    )
    assert "operator torchvision::nms does not exist" in unmended.stderr
    mended = mend(tmp_path, BROKEN)
    assert mended.stdout.strip() == "True False", mended.stderr
    assert mended.returncode == 0, mended.stderr


def test_a_healthy_one_is_left_alone(tmp_path: Path) -> None:
    left = mend(tmp_path, HEALTHY)
    assert left.stdout.strip() == "False False"
    assert left.returncode == 0


def test_another_fault_is_not_hidden(tmp_path: Path) -> None:
    assert "something else" in mend(tmp_path, OTHERWISE).stderr


def test_without_torchvision_nothing_happens(tmp_path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("torchvision") is not None:
        pytest.skip("torchvision is installed here")
    absent = mend(tmp_path, None)
    assert absent.stdout.strip() == "False False"
    assert "No module named 'torchvision'" in absent.stderr
