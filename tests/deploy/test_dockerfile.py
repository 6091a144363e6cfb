"""The Dockerfile, read as Docker reads it: stages, and what each image ends up with."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """name: after AS; base: after FROM; steps: (instruction, arguments) in order."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        return [given for name, given in self.steps if name == instruction]


def _stages() -> dict[str, Stage]:
    text = (ROOT / "Dockerfile").read_text()
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    stages: dict[str, Stage] = {}
    for line in filter(str.strip, lines):
        instruction, _, given = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = given.partition(" AS ")
            stages[name] = current = Stage(name, base)
        elif stages:
            current.steps.append((instruction, given.strip()))
    return stages


def _inherited(stages: dict[str, Stage], target: str) -> list[tuple[str, str]]:
    """All steps of an image: its bases' first."""
    stage = stages[target]
    return (_inherited(stages, stage.base) if stage.base in stages else []) + stage.steps


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_is_not_root_checks_itself_and_keeps_the_store_outside(target: str) -> None:
    steps = _inherited(_stages(), target)
    last = dict(steps)
    assert int(last["USER"].split(":")[0]) > 0
    assert last["EXPOSE"] == "8000"
    assert last["VOLUME"] == "/data"
    assert "PERENNIAL_STORE=/data" in last["ENV"]
    assert json.loads(last["ENTRYPOINT"]) == ["perennial"]
    assert json.loads(last["CMD"]) == ["serve"]


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_holds_the_environment_of_its_own_builder_and_no_tools(target: str) -> None:
    stages = _stages()
    steps = _inherited(stages, target)
    copied = [given for name, given in steps if name == "COPY"]
    assert copied == [f"--from=builder-{target} /opt/perennial /opt/perennial"]
    assert not any("pip " in given or "apt" in given for _, given in steps)
    extra = {"cpu": ".[cpu]", "gpu": ".[gpu]"}[target]
    assert any(f'"{extra}"' in given for given in stages[f"builder-{target}"].arguments("RUN"))


def test_the_cpu_image_is_built_by_default() -> None:
    assert list(_stages())[-1] == "cpu"


def test_the_health_check_asks_whether_the_server_is_ready() -> None:
    (check,) = _stages()["runtime"].arguments("HEALTHCHECK")
    _, _, command = check.partition(" CMD ")
    program, flag, code = json.loads(command)
    assert (program, flag) == ("python", "-c")
    assert "/health/ready" in code
    compile(code, "healthcheck", "exec")


def test_everything_that_is_copied_reaches_the_build() -> None:
    """.dockerignore lets through the rooms that pyproject packages, and what it reads."""
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert allowed == rooms | {"constraints.txt", "pyproject.toml", "README.md", "LICENSE"}
    copied = _stages()["builder"].arguments("COPY")[0].split()[:-1]
    assert set(copied) <= allowed
