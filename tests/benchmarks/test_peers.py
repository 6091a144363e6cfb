"""The comparison with other systems: pace, examination, exchange with a script, table."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.peers import examination
from benchmarks.peers.environment import InstallFailed, install, variables
from benchmarks.peers.exchange import PeerFailed, run, stream_content
from benchmarks.peers.pace import Pace, percentiles
from benchmarks.peers.peer import PEERS, SERVING_PEERS, Peer
from benchmarks.peers.row import PeerRow
from benchmarks.peers.table import HEADINGS, markdown
from benchmarks.streams import Example, Stream, StreamTask

SCRIPT = """
from benchmarks.peers.examination import InThisProcess, main

class LastTaskOnly(InThisProcess):
    def __init__(self, content):
        self.labels = {}
    def learn(self, task):
        self.labels = dict(zip(task.train_texts, task.train_labels))
    def predict(self, texts):
        return [self.labels.get(text, "unknown") for text in texts]
    def predict_one(self, text):
        return self.predict([text])[0]
    def about(self):
        return {"versions": {}, "settings": {}}

main(LastTaskOnly)
"""
"""A system that forgets all but its last task."""


def task(name: str) -> StreamTask:
    rows = tuple(Example(f"{name} text {i}", f"{name} {i}") for i in range(4))
    return StreamTask(name, rows, rows)


@pytest.fixture
def content() -> dict[str, Any]:
    stream = Stream("letters", 3, (task("a"), task("b"), task("c")))
    return {**stream_content(stream, Path("model")), "quiet_requests": 2}


@pytest.fixture
def forgetful(tmp_path: Path) -> Peer:
    folder = tmp_path / "forgetful"
    folder.mkdir()
    (folder / "run.py").write_text(SCRIPT)
    return Peer.in_folder("forgetful", folder)


def examine(peer: Peer, content: dict[str, Any], folder: Path) -> PeerRow:
    python = install(peer, folder, lambda text: None)
    return run(peer, python, content, folder, lambda text: None)


def test_a_script_is_examined_on_the_stream(
    tmp_path: Path, forgetful: Peer, content: dict[str, Any]
) -> None:
    row = examine(forgetful, content, tmp_path)
    assert (row.stream, row.peer, row.seed) == ("letters", "forgetful", 3)
    assert row.accuracy_matrix == [[1, 0, 0], [None, 1, 0], [None, None, 1]]
    assert row.final_accuracy == pytest.approx(1 / 3)
    assert row.forgetting == 1
    assert len(row.cpu_seconds_per_task) == 3
    assert row.milliseconds_quiet is not None
    assert row.milliseconds_quiet["requests"] == 2
    assert row.peak_bytes > 1_000_000


def test_a_finished_run_is_read_again_and_another_stream_is_not_mixed_up(
    tmp_path: Path, forgetful: Peer, content: dict[str, Any]
) -> None:
    first = examine(forgetful, content, tmp_path)
    forgetful.script.write_text("raise SystemExit('must not run again')")
    assert examine(forgetful, content, tmp_path) == first
    with pytest.raises(PeerFailed, match="must not run again"):
        examine(forgetful, {**content, "seed": 4}, tmp_path)
    assert not (tmp_path / "forgetful.result.json").exists()


def test_a_peer_of_another_environment_sees_only_a_copy_of_this_package(tmp_path: Path) -> None:
    settings = variables(PEERS["setfit"], tmp_path / "package")
    assert settings["PYTHONPATH"] == str(tmp_path / "package")
    assert settings["HF_HUB_OFFLINE"] == "1"
    copied = {path.name for path in (tmp_path / "package").rglob("*.py")}
    assert {"__init__.py", "examination.py", "pace.py"} <= copied
    assert "streams.py" not in copied


def test_a_failed_installation_says_why(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"{tmp_path / 'absent.whl'}\n")
    peer = Peer("broken", tmp_path / "run.py", requirements)
    with pytest.raises(InstallFailed, match=r"broken could not be installed(.|\n)*absent"):
        install(peer, tmp_path, lambda text: None)


@pytest.mark.parametrize("peer", [*PEERS.values(), *SERVING_PEERS.values()])
def test_every_peer_has_its_script_and_exact_versions(peer: Peer) -> None:
    compile(peer.script.read_text(), str(peer.script), "exec")
    if peer.requirements is not None:
        lines = peer.requirements.read_text().splitlines()
        assert all("==" in line for line in lines if not line.startswith("#"))


def test_a_request_that_waits_for_a_lock_counts_its_whole_waiting() -> None:
    lock, asked = threading.Lock(), threading.Event()

    def ask(text: str) -> None:
        asked.set()
        with lock:
            pass

    with Pace(ask, ["x"], rate=50) as pace, lock:
        assert asked.wait(10)
        threading.Event().wait(0.2)
    assert max(pace.seconds) >= 0.15
    assert len(pace.seconds) >= 5, "requests that fell due meanwhile are asked as well"


def test_what_a_request_raises_is_raised_where_the_block_ends() -> None:
    def ask(text: str) -> None:
        raise ValueError(text)

    with pytest.raises(ValueError, match="x"), Pace(ask, ["x"], rate=1000, limit=1) as pace:
        pace.wait()


def test_nothing_is_asked_while_nothing_is_known() -> None:
    with Pace(lambda text: text, [], rate=1000) as pace:
        pass
    assert pace.seconds == []


def test_percentiles_are_by_nearest_rank_in_milliseconds() -> None:
    assert percentiles([i / 1000 for i in range(1, 101)]) == {
        "p50": 50,
        "p99": 99,
        "worst": 100,
        "requests": 100,
    }
    assert percentiles([]) is None


def test_accuracy_refuses_a_missing_answer() -> None:
    assert examination.accuracy(["a", "b"], ["a", "c"]) == 0.5
    with pytest.raises(ValueError, match="1 predictions for 2 texts"):
        examination.accuracy(["a"], ["a", "b"])


def test_the_table_shows_means_over_seeds_and_the_worst_wait_of_all() -> None:
    def row(seed: int, final: float, worst: float) -> PeerRow:
        result = {
            "accuracy_matrix": [[1.0, final], [None, final]],
            "cpu_seconds_per_task": [1.0, 3.0],
            "milliseconds_quiet": {"p50": 5.0, "p99": 9.0, "worst": 9.0, "requests": 4},
            "milliseconds_learning": {"p50": 7.0, "p99": worst, "worst": worst, "requests": 4},
            "peak_bytes": 500_000_000,
            "about": {},
        }
        return PeerRow.of("letters", "forgetful", seed, orjson.loads(orjson.dumps(result)))

    heading, _, line = markdown([row(0, 0.8, 100.0), row(1, 0.6, 300.0)]).splitlines()
    assert heading == "| " + " | ".join(HEADINGS) + " |"
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["letters", "forgetful", "2", "70.00 ± 14.14"]
    assert cells[6:8] == ["2.0 ± 0.0", "3.0 ± 0.0"]
    assert cells[8:] == ["5 / 9", "7 / 200 / 300", "500 ± 0"]
