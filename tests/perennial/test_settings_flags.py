"""Flags of `perennial serve` are the settings' fields; flag > environment > file > default."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Literal

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from perennial.cli import main
from perennial.cli.serve import serve
from perennial.cli.settings_flags import flags_of, settings_from, settings_of
from serving.settings import Settings


def _check(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["serve", "--check", *arguments], env=env)


def _settings(*arguments: str, env: dict[str, str] | None = None) -> dict[str, object]:
    result = _check(*arguments, env=env)
    assert result.exit_code == 0, result.output
    checked: dict[str, object] = json.loads(result.stdout)
    return checked


def test_every_setting_is_a_flag_that_help_shows_with_variable_and_default() -> None:
    said = CliRunner().invoke(main, ["serve", "--help-all"], env={"COLUMNS": "80"}).stdout
    settings = list(settings_of(Settings))
    assert len(settings) > 10
    words = said.split()
    for setting in settings:
        assert setting.flag in words or f"{setting.flag}," in words
        assert f"[${setting.variable(Settings.model_config)};" in words
    assert len(serve.params) == len(settings) + 1


def test_short_help_has_sections_and_leaves_out_what_lies_inside_groups() -> None:
    said = CliRunner().invoke(main, ["serve", "--help"]).stdout
    titles = [line for line in said.splitlines() if line and not line.startswith(" ")]
    groups = dict.fromkeys(f"{s.path[0]}:" for s in settings_of(Settings) if len(s.path) == 2)
    assert titles == ["Usage: main serve [OPTIONS]", "Options:", *groups]
    words = said.split()
    for setting in settings_of(Settings):
        assert (setting.flag in words) == (len(setting.path) < 3), setting.flag


def test_defaults_are_those_of_the_settings() -> None:
    assert _settings() == json.loads(Settings().model_dump_json())


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "perennial.toml"
    file.write_text("port = 1\nhost = '0.0.0.0'\n[limits]\ninputs = 2\nexamples = 3\n")
    env = {"PERENNIAL_PORT": "4", "PERENNIAL_LIMITS__INPUTS": "5", "PERENNIAL_THREADS": "6"}
    found = _settings("--config", str(file), "--port", "7", env=env)
    limits = found["limits"]
    assert isinstance(limits, dict)
    assert (found["port"], found["threads"], found["host"]) == (7, 6, "0.0.0.0")
    assert (limits["inputs"], limits["examples"]) == (5, 3)
    assert limits["text_characters"] == Settings().limits.text_characters


def test_a_nested_flag_leaves_its_neighbours_alone() -> None:
    limits = _settings("--limits-inputs", "3")["limits"]
    assert limits == json.loads(Settings().limits.model_dump_json()) | {"inputs": 3}


def test_structured_settings_are_json() -> None:
    key = {"name": "ci", "sha256": "a" * 64, "scopes": ["learn"]}
    found = _settings("--keys", json.dumps([key]))["keys"]
    assert isinstance(found, list)
    assert [{name: one[name] for name in key} for one in found] == [key]


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        (["--port", "99999"], {}, "not 99999; set --port or PERENNIAL_PORT"),
        ([], {"PERENNIAL_PORT": "x"}, "not 'x'; set --port or PERENNIAL_PORT"),
        ([], {"PERENNIAL_LIMITS__INPUTS": "0"}, "limits.inputs: "),
        (["--engine", "cloud"], {}, "'cloud' is not one of"),
        (["--keys", "[{"], {}, "is not JSON"),
        (["--keys", '[{"name": "x"}]'], {}, "keys.0.sha256: Field required"),
        ([], {"PERENNIAL_KEYS": "[{"}, "the settings cannot be read"),
        (["--engine", "local", "--replicas", "2"], {}, "use engine ray for more"),
        (["--config", "/nowhere.toml"], {}, "/nowhere.toml"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_flag(
    arguments: list[str], env: dict[str, str], says: str
) -> None:
    result = _check(*arguments, env=env)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_file_that_is_no_toml_or_names_no_setting(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("port = = 1")
    assert "cannot be read" in _check("--config", str(file)).stderr
    file.write_text("prot = 1")
    result = _check("--config", str(file))
    assert (result.exit_code, "prot: " in result.stderr) == (2, True)


class Colour(Enum):
    RED = "red"


class Inner(BaseModel):
    size: int = 3


class Wide(BaseSettings):
    """One field of every type the flags know."""

    model_config = SettingsConfigDict(env_prefix="WIDE_", env_nested_delimiter="__")

    needed: str
    on: bool = True
    ratio: float | None = None
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    either: int | list[int] = 0
    made: Inner = Field(default_factory=Inner)


@click.command()
@flags_of(Wide)
def wide(**given: object) -> None:
    click.echo(settings_from(Wide, given).model_dump_json())


def test_every_type_of_setting_has_a_flag_of_its_type() -> None:
    arguments = ["--needed", "x", "--no-on", "--ratio", "0.5", "--colour", "red", "--mode", "b"]
    result = CliRunner().invoke(wide, [*arguments, "--either", "[1]", "--made-size", "4"])
    assert json.loads(result.stdout) == {
        "needed": "x",
        "on": False,
        "ratio": 0.5,
        "colour": "red",
        "mode": "b",
        "either": [1],
        "made": {"size": 4},
    }
    said = CliRunner().invoke(wide, ["--help"], env={"COLUMNS": "200"}).stdout
    assert "default none, must be given" in said
    assert "default red" in said
    assert "[$WIDE_MADE__SIZE; default 3]" in said


def test_a_structured_default_is_shown_as_the_flag_takes_it() -> None:
    said = CliRunner().invoke(main, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    assert "HeadConfig(" not in said
    assert '{"kind": "auto",' in said


def test_a_setting_that_must_be_given_is_asked_for() -> None:
    result = CliRunner().invoke(wide, [])
    assert result.exit_code == 2
    assert "needed: Field required" in result.stderr
