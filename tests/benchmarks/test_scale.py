"""`perennial bench scale`: the versions it writes, and a short run on real servers."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from click.testing import CliRunner

from backbones import TrainableBackbone, load
from benchmarks.scale.contents import ROWS, Layout, task_names, write_version
from benchmarks.scale.weight import weigh
from learner.build import build_learner
from learner.config import LearnerConfig
from perennial.cli import main
from prompt_store import Store
from serving.snapshot import Snapshot, SnapshotLoader
from tests.backbones.models import SUPPORTED, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(SUPPORTED["bert"], tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def tiny(folder: Path) -> TrainableBackbone:
    return load(str(folder), threads=1)


def written(backbone: TrainableBackbone, tasks: int, layout: Layout) -> tuple[Store, Snapshot]:
    store = Store.open(f"memory://{uuid4().hex}")
    version = write_version(store, backbone.description, tasks, 3, layout)
    return store, SnapshotLoader(store, backbone).load(version)


@pytest.mark.parametrize(("layout", "columns"), [("domains", 3), ("tasks", 12)])
def test_every_task_has_a_prompt_and_a_head(
    tiny: TrainableBackbone, layout: Layout, columns: int
) -> None:
    store, snapshot = written(tiny, 4, layout)
    assert list(snapshot.tasks) == task_names(4)
    assert {view.head.classes for view in snapshot.tasks.values()} == {3}
    assert {view.head.classes for view in snapshot.domains} == {columns}
    assert (snapshot.content.router is not None) == (layout == "domains")
    rows = [view.row for view in snapshot.tasks.values()]
    assert snapshot.bank is not None
    assert len({snapshot.bank.keys_values[row].tobytes() for row in rows}) == 4
    assert set(snapshot.bank.lengths()[rows]) == {ROWS}
    learner = build_learner(store, tiny, LearnerConfig(method="frozen"))
    learner.start()
    assert not learner.step()  # nothing is missing that a learner would have to add


def test_a_version_weighs_what_its_tasks_do(tiny: TrainableBackbone) -> None:
    one, two, four = (weigh(written(tiny, count, "domains")[1]) for count in (1, 2, 4))
    about = tiny.description
    numbers = 2 * about.prompted_layers * about.attention_width * ROWS
    bias = about.prompted_layers * about.heads * ROWS
    assert two.bank - one.bank == 4 * (numbers + bias)
    assert one.router == 0
    assert all(part > 0 for part in astuple(two))
    assert (four.bank - two.bank, four.heads) == (2 * (two.bank - one.bank), 2 * two.heads)


@pytest.mark.long
def test_versions_are_served_and_asked_in_turn(folder: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "scale.json", tmp_path / "scale.png"
    arguments = ["--tasks", 1, "--tasks", 3, "--classes", 2, "--backbone", folder]
    arguments += ["--runtime", "torch", "--seconds", 0.2, "--rounds", 2]
    arguments += ["--json", out, "--plot", picture]
    result = CliRunner().invoke(main, ["bench", "scale", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "| 3 × 2 |" in result.stdout
    assert "0 requests failed" in result.stdout
    content = orjson.loads(out.read_bytes())
    assert [(rung["tasks"], rung["classes"]) for rung in content["rungs"]] == [(1, 2), (3, 6)]
    for rung in content["rungs"]:
        assert rung["megabytes"] > 0
        assert all(len(phases) == 2 for phases in rung["phases"].values())
        phases = [one for of_kind in rung["phases"].values() for one in of_kind]
        assert all(one["failed"] == 0 and one["texts"] > 0 for one in phases)
        assert all(min(seconds) > 0 for seconds in (*rung["passes"].values(), rung["loads"]))
    assert picture.read_bytes().startswith(b"\x89PNG")
