"""Settings: their sources, their checks, and that each is explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from serving.settings import Batching, Key, Limits, Polling, Settings

DIGEST = "ab" * 32


def test_arguments_beat_environment_beats_file_beats_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "perennial.toml"
    file.write_text("port = 1\nhost = '0.0.0.0'\nstore = 'kept'\n[limits]\ninputs = 7\n")
    monkeypatch.setenv("PERENNIAL_CONFIG", str(file))
    monkeypatch.setenv("PERENNIAL_PORT", "2")
    monkeypatch.setenv("PERENNIAL_HOST", "localhost")
    monkeypatch.setenv("PERENNIAL_LIMITS__TEXT_CHARACTERS", "9")
    settings = Settings(port=3)
    assert (settings.port, settings.host, settings.store) == (3, "localhost", "kept")
    assert (settings.limits.inputs, settings.limits.text_characters) == (7, 9)
    assert settings.limits.examples == Limits().examples
    assert settings.backbone == "minilm"


@pytest.mark.parametrize("shape", [Settings, Limits, Batching, Polling, Key])
def test_every_setting_is_explained(shape: type[BaseModel]) -> None:
    assert [name for name, field in shape.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": 70_000}, "port"),
        ({"threads": 0}, "threads"),
        ({"typo": 1}, "typo"),
        ({"limits": {"inputs": 0}}, "limits.inputs"),
        ({"limits": {"name_characters": 129}}, "limits.name_characters"),
        ({"replicas": 2}, "engine local runs one replica, not 2"),
        ({"precision": "int8", "runtime": "torch"}, "precision int8 needs runtime onnx"),
        ({"precision": "bf16", "runtime": "onnx"}, "precision bf16 needs runtime torch"),
        ({"precision": "bf16", "runtime": "fastest"}, "precision bf16 needs runtime torch"),
        ({"config": "/nowhere.toml"}, "there is no file /nowhere.toml"),
        ({"keys": [{"name": "a", "sha256": "short", "scopes": ["learn"]}]}, "sha256"),
        ({"keys": [{"name": "a", "sha256": DIGEST, "scopes": ["root"]}]}, "scopes"),
        ({"keys": [{"name": "a", "sha256": DIGEST, "scopes": []}]}, "scopes"),
        (
            {
                "keys": [
                    {"name": "a", "sha256": DIGEST, "scopes": ["learn"]},
                    {"name": "b", "sha256": DIGEST.upper(), "scopes": ["admin"]},
                ]
            },
            "keys must differ in sha256",
        ),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings(**values)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_a_file_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "perennial.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(ValidationError, match="prot"):
        Settings(config=file)
