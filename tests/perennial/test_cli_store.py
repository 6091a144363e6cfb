"""`perennial store …` over a store on disk, as a user calls it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from learner.examples import TaskExamples
from learner.references import NAMING, references
from perennial.cli import main
from prompt_store import Kind, LocalBackend, Retention, RetentionConfig, Store
from prompt_store.blobs import blob_key
from prompt_store.log import GRACE, log_key
from serving.declarations import Declaration, Declarations
from tests.prompt_store.drafts import Clock, published
from tests.prompt_store.keeping import FIRST, QUEUED, content_of, live, replace, with_image


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One batch of an image learnt, one queued, a task declared."""
    store = Store.open(tmp_path / "store")
    first = with_image(FIRST, store.blobs.put(b"an image"))
    examples = TaskExamples(first.task).add(first.id, first.examples).to_bytes()
    content = {
        "examples/birds": store.blobs.put(examples),
        "head/domain/all": store.blobs.put_tensors({"weights": np.ones((2, 3))}),
    }
    store.intake.accept(first)
    live(store, Kind.TRAIN, batches=(FIRST,), decided=(FIRST,), blobs=content)
    store.intake.settle(published(FIRST, 1))
    store.intake.accept(with_image(QUEUED, store.blobs.put(b"another image")))
    store.pin(1)
    Declarations(store.backend).declare(Declaration(task="birds", labels=("robin",)))
    return store


def run(*arguments: object, code: int = 0) -> Result:
    environment = {"COLUMNS": "200"}
    result = CliRunner().invoke(main, ["store", *map(str, arguments)], env=environment)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_a_sound_store_is_called_sound(store: Store, tmp_path: Path) -> None:
    before = content_of(store.backend)
    said = run("check", "--store", tmp_path / "store")
    assert said.stdout == "1 log entries, 2 batches, 4 blobs; faults: none\n"
    assert said.stderr == ""
    found = json.loads(run("check", "--json", "--store", f"file://{tmp_path}/store").stdout)
    assert (found["faults"], found["orphans"]) == ([], [])
    assert content_of(store.backend) == before


def test_each_fault_has_a_line_and_the_exit_code_is_1(store: Store, tmp_path: Path) -> None:
    head = blob_key(store.manifest(1).blobs["head/domain/all"])
    replace(store.backend, head, b"other")
    said = run("check", "--store", tmp_path / "store", code=1).stdout.splitlines()
    assert said == [
        f"{head} holds other bytes than its name says; {log_key(1)} names it as "
        "'head/domain/all': restore it from a backup, or promote a version that does not use it",
        "1 log entries, 2 batches, 4 blobs; faults: 1",
    ]
    (fault,) = json.loads(run("check", "--json", "--store", tmp_path / "store", code=1).stdout)[
        "faults"
    ]
    assert fault["where"] == head


def test_orphans_are_told_and_no_fault(store: Store, tmp_path: Path) -> None:
    store.blobs.put(b"orphan")
    assert "1 blobs that nothing names" in run("check", "--store", tmp_path / "store").stdout


def test_stats_counts(store: Store, tmp_path: Path) -> None:
    said = run("stats", "--store", tmp_path / "store").stdout
    rows = {line[:17].strip(): line[17:].strip() for line in said.splitlines()}
    assert rows["versions kept"] == "1"
    assert rows["batches pending"] == "1"
    assert rows["blobs: image"] == "2 (21 bytes)"
    found = json.loads(run("stats", "--json", "--store", tmp_path / "store").stdout)
    assert found["blobs"]["image"] == {"blobs": 2, "bytes": 21}


def test_gc_says_what_it_would_do_and_does_it_in_two_steps(tmp_path: Path) -> None:
    clock = Clock(time.time() - 100 * GRACE)
    store = Store.on(LocalBackend(tmp_path / "store"), clock=clock)
    for number in range(4):
        live(store, blobs={"head/domain/all": store.blobs.put(b"%d" % number)})
    live(store, Kind.FORGET)
    live(store)
    clock.now += 2 * GRACE
    options = ("--keep", 3, "--grace", GRACE, "--store", tmp_path / "store")
    before = content_of(store.backend)
    would = run("gc", "--dry-run", *options).stdout.splitlines()
    assert would[1].split() == ["versions", "would", "be", "dropped", "4", "1–4"]
    assert would[3].split() == ["blobs", "nothing", "would", "name", "4", "4", "bytes"]
    assert content_of(store.backend) == before
    config = RetentionConfig(versions=3, grace_seconds=GRACE)
    Retention(store, references, NAMING, config).run(most=3)  # long ago
    told = json.loads(run("gc", "--json", *options).stdout)
    assert (told["done"]["erased"], told["done"]["condemned"]) == (3, 1)
    said = run("gc", *options).stdout.splitlines()
    assert [line.split()[:3] for line in said[1:]] == [
        ["versions", "dropped", "0"],
        ["blobs", "condemned", "0"],
        ["blobs", "waiting", "1"],
        ["blobs", "deleted", "0"],
        ["forgotten", "by", "version"],
    ]
    assert "being erased since" in said[-1]
    run("check", "--store", tmp_path / "store")
    assert "--grace" in run("gc", "--grace", 1, "--store", tmp_path / "store", code=2).stderr


def test_export_and_import_bring_everything_back(store: Store, tmp_path: Path) -> None:
    file, new = tmp_path / "store.tar", tmp_path / "new"
    told = json.loads(run("export", file, "--json", "--store", tmp_path / "store").stdout)
    assert told["bytes"] == file.stat().st_size
    said = run("import", file, "--store", new).stdout
    assert said == f"{new}: 1 log entries, live: version 1\n"
    run("check", "--store", new)
    found = content_of(LocalBackend(new))
    assert found.pop(f"checkpoints/{1:020d}.json")
    assert found == content_of(store.backend)
    assert "holds format.json already" in run("import", file, "--store", new, code=1).stderr


def test_export_overwrites_nothing_and_leaves_nothing_where_it_fails(
    store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "store.tar"
    file.write_bytes(b"mine")
    assert "is there already" in run("export", file, "--store", tmp_path / "store", code=1).stderr
    assert file.read_bytes() == b"mine"
    file.unlink()
    store.backend.delete(blob_key(store.manifest(1).blobs["head/domain/all"]))
    run("export", file, "--store", tmp_path / "store", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_file_that_is_no_archive_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "store.tar"
    file.write_bytes(b"no archive" * 100)
    said = run("import", file, "--store", tmp_path / "new", code=1).stderr
    assert said.startswith("Error: This is no archive of a store")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", [("check",), ("stats",), ("export", "new.tar")])
@pytest.mark.parametrize("url", ["{}/none", "file://{}/none", "memory://none-{}"])
def test_where_there_is_no_store_none_is_made(
    command: tuple[str, ...], url: str, tmp_path: Path
) -> None:
    place = url.format(tmp_path if "memory" not in url else command[0])
    assert "There is no store at" in run(*command, "--store", place, code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_cannot_be_used_is_a_mistake_of_usage(tmp_path: Path) -> None:
    run("check", "--store", "gopher://somewhere", code=2)
