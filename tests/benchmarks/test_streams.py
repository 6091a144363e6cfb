import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.streams import Dataset, UnknownDataset


def write(folder: Path, content: dict[str, Any], name: str = "data.json.gz") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(gzip.compress(orjson.dumps(content)))
    return folder


def rows(classes: int, each: int) -> list[list[str]]:
    return [[f"text {c} {i}", f"class-{c:02d}"] for c in range(classes) for i in range(each)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = write(tmp_path / "small", {"train": rows(6, 5), "test": rows(6, 3)})
    return Dataset.load(folder)


def test_classes_are_dealt_into_tasks_with_their_shots(dataset: Dataset) -> None:
    stream = dataset.stream(tasks=3, shots=4, seed=0)
    assert [len(task.train) for task in stream.tasks] == [8, 8, 8]
    assert [len(task.test) for task in stream.tasks] == [6, 6, 6]
    dealt = {one.label for task in stream.tasks for one in task.train}
    assert len(dealt) == 6
    for task in stream.tasks:
        assert {one.label for one in task.test} == {one.label for one in task.train}


def test_a_seed_fixes_everything_and_another_changes_it(dataset: Dataset) -> None:
    first = dataset.stream(tasks=3, shots=4, seed=1)
    assert first == dataset.stream(tasks=3, shots=4, seed=1)
    assert first.tasks != dataset.stream(tasks=3, shots=4, seed=2).tasks


def test_domains_are_the_tasks_where_there_are_as_many(tmp_path: Path) -> None:
    domains = {"a": ["class-00", "class-01"], "b": ["class-02", "class-03"]}
    content = {"train": rows(4, 3), "test": rows(4, 1), "domains": domains}
    stream = Dataset.load(write(tmp_path / "d", content)).stream(tasks=2, shots=2, seed=0)
    assert {task.name for task in stream.tasks} == {"a", "b"}


def test_what_is_no_data_set_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(UnknownDataset, match="found 0"):
        Dataset.load(tmp_path)
    with pytest.raises(UnknownDataset, match="'train' and 'test'"):
        Dataset.load(write(tmp_path / "x", {"rows": []}))
    with pytest.raises(UnknownDataset, match="6 classes"):
        dataset.stream(tasks=7, shots=1, seed=0)
