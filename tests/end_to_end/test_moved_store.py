"""A store exported beside a running server, imported elsewhere, and served there."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.running_server import running_server
from perennial.cli import main
from perennial.client import Client
from tests.end_to_end.conftest import Start, needs_minilm

pytestmark = [pytest.mark.slow, needs_minilm]

LABELS = {"refund": "money back please", "delivery": "where is my parcel"}
ASKED = ["give me my money", "the courier lost my box"]


def test_a_server_on_the_imported_store_answers_like_the_original(
    start: Start, store_path: Path, tmp_path: Path
) -> None:
    archive, moved = tmp_path / "store.tar", tmp_path / "moved"
    with start("--learner-method", "frozen") as server, Client(server.url) as client:
        client.declare("home", ["music", "light"])
        for label, text in LABELS.items():
            client.wait(client.learn("mail", [(text, label)]), timeout=120)
        store("check", "--store", store_path)
        store("export", archive, "--store", store_path)
        expected = client.classify(ASKED), client.tasks()
        client.learn("mail", [("after the export", "later")])
    store("import", archive, "--store", moved)
    store("check", "--store", moved)
    arguments = ["--engine", "local", "--learner-method", "frozen", "--store", str(moved)]
    with (
        running_server(arguments, tmp_path / "moved.log") as server,
        Client(server.url) as client,
    ):
        answer, tasks = client.classify(ASKED), client.tasks()
        assert tasks == expected[1]
        assert answer.version == expected[0].version
        assert [one.predictions for one in answer.results] == [
            one.predictions for one in expected[0].results
        ]
        client.wait(client.learn("mail", [("hello", "greeting")]), timeout=120)
    store("check", "--store", moved)


def store(*arguments: object) -> None:
    result = CliRunner().invoke(main, ["store", *map(str, arguments)])
    assert result.exit_code == 0, result.output
