"""`perennial bench stream` on images: the command for texts with another backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from backbones import Input, Preprocessed
from benchmarks.overrides import learner_config
from benchmarks.stream import run_stream
from benchmarks.stream_report import Run
from benchmarks.streams import Dataset
from learner.config import LearnerConfig
from learner.events import discard
from perennial.cli import main
from tests.backbones.models import SUPPORTED, save
from tests.backbones.vision.conftest import load_vision
from tests.backbones.vision.models import timm_vit
from tests.benchmarks.pictures import arrays, write_images


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return timm_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("colours"), arrays(6, 8, 4))


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "stream", *map(str, arguments)])


def test_colours_are_learnt_and_reported(tmp_path: Path, colours: Path, vit_folder: Path) -> None:
    out = tmp_path / "rows.json"
    arguments = ["--data", colours, "--tasks", 2, "--shots", 8, "--method", "frozen"]
    arguments += ["--seeds", 1, "--backbone", vit_folder, "--json", out]
    result = bench(*arguments, "--image-size", 32, "--tests", 3, "--degraded")
    assert result.exit_code == 0, result.output
    (row,) = orjson.loads(out.read_bytes())["rows"]
    assert row["final_accuracy"] > 0.8
    asked = {"image_size": 32, "tests": 3, "degraded": True}
    assert asked.items() <= row["settings"].items()
    untouched, *worse = row["degraded"]
    assert (untouched["kind"], untouched["rows"]) == ("untouched", 18)
    assert untouched["accuracy"] == row["final_accuracy"]
    assert [marks["kind"] for marks in worse] == ["resized", "compressed", "darkened"]
    assert sum(marks["rows"] for marks in worse) == 18
    assert all(marks["routed"] == 1.0 for marks in row["degraded"])
    assert "| untouched | resized | compressed | darkened |" in result.output


class Watched:
    """A backbone that notes what it is given."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.given: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def preprocess(self, inputs: Sequence[Input]) -> Preprocessed:
        self.given += [one.image or b"" for one in inputs]
        result: Preprocessed = self._inner.preprocess(inputs)
        return result


def test_every_image_is_decoded_once(colours: Path, vit_folder: Path) -> None:
    watched: Any = Watched(load_vision(vit_folder))
    stream = Dataset.load(colours).stream(tasks=2, shots=4, seed=0)
    row = run_stream(stream, "frozen", watched, LearnerConfig(method="frozen"), emit=discard)
    images = [one.image or b"" for task in stream.tasks for one in (*task.train, *task.test)]
    assert sorted(watched.given) == sorted(images)
    assert row.degraded is None
    assert row.feature_drift == 0.0


def test_a_prompt_moves_the_features_of_earlier_tasks(colours: Path, vit_folder: Path) -> None:
    stream = Dataset.load(colours).stream(tasks=2, shots=4, seed=0)
    config = learner_config("sequential-open", 0, [])
    row = run_stream(stream, "sequential-open", load_vision(vit_folder), config, emit=discard)
    assert row.candidates_refused == 0
    assert row.feature_drift is not None
    assert row.feature_drift > 0


def test_settings_of_texts_are_what_they_were(colours: Path) -> None:
    run = Run((colours,), (), 2, 8, "minilm", 256, None, ())
    names = {"tasks", "shots", "backbone", "max_length", "prompted_layers", "overrides"}
    assert run.settings().keys() == names


def refused(*arguments: object) -> str:
    result = bench(*arguments)
    assert result.exit_code == 2, result.output
    return " ".join(result.output.replace("│", " ").split())


def test_what_does_not_go_together_is_refused(tmp_path: Path, colours: Path) -> None:
    texts = save(SUPPORTED["bert"], tmp_path)
    images = ("--data", colours, "--tasks", 2, "--seeds", 1)
    assert "sees texts: name another" in refused(*images, "--backbone", texts)
    assert "reads texts only" in refused(*images, "--method", "joint-finetune")
