"""What a process that serves imports, whichever engine it belongs to."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["serving.local", "serving.application"])
def test_importing_an_engine_imports_no_torch(module: str) -> None:
    program = f"import {module}, sys; print('torch' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False False"), done.stderr
