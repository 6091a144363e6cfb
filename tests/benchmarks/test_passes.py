"""`perennial bench pass`: a line a batch, for texts and for images."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from benchmarks.passes import HEADINGS
from perennial.cli import main
from tests.backbones.models import SUPPORTED, save
from tests.backbones.vision.models import timm_vit


@pytest.mark.parametrize("modality", ["text", "vision"])
def test_every_form_of_a_pass_is_timed(tmp_path: Path, modality: str) -> None:
    folder = save(SUPPORTED["bert"], tmp_path) if modality == "text" else timm_vit(tmp_path)
    out = tmp_path / "passes.json"
    arguments = ["--backbone", folder, "--batch", 1, "--batch", 3, "--rounds", 2, "--json", out]
    arguments += ["--runtime", "torch"]
    result = CliRunner().invoke(main, ["bench", "pass", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert lines[0] == "| " + " | ".join(HEADINGS) + " |"
    assert [line.split()[1] for line in lines[2:]] == ["1", "3"]
    rows = orjson.loads(out.read_bytes())["rows"]
    assert all(value > 0 for row in rows for value in row.values())
