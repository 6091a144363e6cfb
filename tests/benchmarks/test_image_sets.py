"""Image data sets: read as written, dealt as texts are, refused with what is wrong."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backbones import Input
from benchmarks.named_streams import NAMED
from benchmarks.stream import as_batch
from benchmarks.streams import Dataset, UnknownDataset
from prompt_store import Store
from tests.benchmarks.pictures import arrays, coloured, write_images

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.load(write_images(tmp_path / "colours", arrays(6, 5, 4)))


def test_images_come_back_as_they_were_written(dataset: Dataset) -> None:
    assert (dataset.name, len(dataset.train), len(dataset.test)) == ("colours", 30, 24)
    last = dataset.test[-1]
    assert (last.text, last.label) == ("", "class-05")
    assert last.image is not None
    read = np.asarray(Image.open(BytesIO(last.image)))
    assert np.array_equal(read, np.asarray(coloured(5, 13)))
    assert last.input == Input(image=last.image)


def test_classes_are_dealt_by_seed_with_their_shots(dataset: Dataset) -> None:
    first, second = (dataset.stream(tasks=3, shots=4, seed=seed) for seed in (0, 1))
    assert first.has_images
    assert [len(task.train) for task in first.tasks] == [8, 8, 8]
    assert first == dataset.stream(tasks=3, shots=4, seed=0)

    def orders(tasks: Any) -> list[set[str]]:
        return [{one.label for one in task.test} for task in tasks]

    assert orders(first.tasks) != orders(second.tasks)


def test_fewer_test_rows_are_the_same_for_every_seed(dataset: Dataset) -> None:
    first, second = (dataset.stream(tasks=2, shots=4, seed=seed).limited(2) for seed in (0, 1))
    rows = [{one for task in stream.tasks for one in task.test} for stream in (first, second)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 12
    assert {one.label for one in rows[0]} == {f"class-{c:02d}" for c in range(6)}
    whole = dataset.stream(tasks=2, shots=4, seed=0)
    assert whole.limited(4) == whole
    assert [task.train for task in first.tasks] == [task.train for task in whole.tasks]


def test_a_batch_names_blobs_that_are_stored(dataset: Dataset) -> None:
    task = dataset.stream(tasks=3, shots=2, seed=0).tasks[0]
    store = Store.open("memory://images-batch")
    batch = as_batch(task, store.blobs.put)
    for kept, one in zip(batch.examples, task.train, strict=True):
        assert kept.text is None
        assert store.blobs.get(kept.image or "") == one.image
    other = dataset.stream(tasks=3, shots=2, seed=0).tasks[1]
    assert as_batch(task).body_digest == batch.body_digest != as_batch(other).body_digest


SPOILT: dict[str, tuple[dict[str, Any], str]] = {
    "labels": ({"label": np.array([7])}, "do not belong together"),
    "a label": ({"classes": np.array(["only"])}, "outside the 1 classes"),
    "span": ({"blob": np.zeros(3, np.uint8)}, "do not span"),
    "pickle": ({"classes": np.array([object()])}, "allow_pickle"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_file_is_refused_with_the_reason(tmp_path: Path, kind: str) -> None:
    changed, said = SPOILT[kind]
    with pytest.raises(UnknownDataset, match=said):
        Dataset.load(write_images(tmp_path, {**arrays(3, 1, 1), **changed}))


def test_offsets_that_do_not_rise_and_missing_arrays_are_refused(tmp_path: Path) -> None:
    content = arrays(3, 1, 1)
    offsets = content["offsets"].copy()
    offsets[[1, 2]] = offsets[[2, 1]]
    with pytest.raises(UnknownDataset, match="do not rise"):
        Dataset.load(write_images(tmp_path, {**content, "offsets": offsets}))
    del content["split"]
    with pytest.raises(UnknownDataset, match=r"expected the arrays .*split"):
        Dataset.load(write_images(tmp_path, content))
    (tmp_path / "images.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UnknownDataset, match=r"images\.npz: expected the arrays"):
        Dataset.load(tmp_path)
    (tmp_path / "more.npz").write_bytes(b"")
    with pytest.raises(UnknownDataset, match="found 2"):
        Dataset.load(tmp_path)


def test_the_named_stream_interleaves_both_sets(tmp_path: Path) -> None:
    write_images(tmp_path / "cifar100_subset", arrays(20, 2, 1))
    write_images(tmp_path / "clothing_small", arrays(4, 2, 1))
    first, second = (NAMED["images"](tmp_path, seed) for seed in (0, 1))
    names = [task.name for task in first.tasks]
    assert sorted(names) == [f"cifar100_subset-part-{i:02d}" for i in range(1, 11)] + [
        "clothing_small-part-01",
        "clothing_small-part-02",
    ]
    assert [task.name for task in second.tasks] != names
    assert all(task.name.startswith(f"{task.dataset}-") for task in first.tasks)
    alone = Dataset.load(tmp_path / "clothing_small").stream(tasks=2, shots=20, seed=0)
    assert {task.train for task in alone.tasks} < {task.train for task in first.tasks}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not on this machine")
def test_the_real_sets_have_their_shots() -> None:
    stream = NAMED["images"](DATA, 0)
    sizes = {(task.dataset, len(task.train), len(task.test)) for task in stream.tasks}
    assert ("cifar100_subset", 200, 500) in sizes
    assert sum(n for name, _, n in sizes if name == "clothing_small") == 372
    assert {n for name, n, _ in sizes if name == "clothing_small"} == {100}
