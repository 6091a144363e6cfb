from pathlib import Path

import pytest

from benchmarks.cl_tasks import SingleTask, clean
from benchmarks.named_streams import CL_ORDER, NAMED, NLP7
from benchmarks.stream import as_batch
from benchmarks.streams import UnknownDataset

DATA = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not on this machine")


def test_pairs_are_told_apart_and_lead_ins_go() -> None:
    assert clean("QQP", 'first sentence: "a b"\nsecond sentence: "c"') == ("a b", "c")
    assert clean("RTE", "sentence 1: A.\nsentence 2: B.") == ("A.", "B.")
    assert clean("WiC", "word: call\nA call.\nCall me.") == ("call: A call.", "call: Call me.")
    assert clean("SST-2", "Text: fine . ") == ("fine .", None)
    assert clean("amazon", "Title: No\nText: It\\is\\nbad ") == ("No . It is bad", None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownDataset, match=r"RTE\.json\.gz is missing"):
        SingleTask.load(tmp_path, "RTE")


@real
def test_nlp7_has_its_shots_and_the_same_test_rows_for_every_seed() -> None:
    first, second = (NAMED["nlp7"](DATA, seed) for seed in (0, 1))
    tasks = {task.name: task for task in first.tasks}
    assert set(tasks) == set(NLP7)
    assert len(tasks["SST-2"].train) == 128
    assert len(tasks["yahoo"].train) == 320
    assert {len(task.test) for task in tasks.values()} == {500, 277}
    again = {task.name: task for task in second.tasks}
    assert again["QQP"].test == tasks["QQP"].test
    assert again["QQP"].train != tasks["QQP"].train
    pairs = {name for name, task in tasks.items() if task.train[0].text_pair is not None}
    assert pairs == {"QQP", "RTE", "WiC"}
    carried = as_batch(tasks["WiC"]).examples[0]
    assert carried.text_pair == tasks["WiC"].train[0].text_pair


@real
def test_mixed_joins_three_sources_under_names_of_their_own() -> None:
    stream = NAMED["mixed"](DATA, 0)
    assert len({task.name for task in stream.tasks}) == 24
    datasets = [task.dataset for task in stream.tasks]
    assert (datasets.count("banking77"), datasets.count("clinc150")) == (7, 10)
    assert stream == NAMED["mixed"](DATA, 0)


@real
def test_cl12_keeps_the_published_order() -> None:
    stream = NAMED["cl12"](DATA, 0)
    assert tuple(task.name for task in stream.tasks) == CL_ORDER
    assert all(task.train and task.test for task in stream.tasks)
