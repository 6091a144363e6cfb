"""`perennial audit` tells what callers of a real server did, and the server's log the same."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from perennial.cli import main
from prompt_store import Actor, KeyTerms, Kind, Outcome, Store, digest_of
from serving.logs import JsonFormatter
from serving.metrics import PrometheusMetrics
from serving.precision import Engines
from serving.service import Service
from serving.settings import Settings
from tests.prompt_store.keeping import live
from tests.serving.bag_of_words import BagOfWords
from tests.serving.publishing import MAIL, publish
from tests.serving.running import Running, running

TEXT, LABEL = "a text that nobody shall read", "secret-label"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store")
    for name, scope in (("teacher", "learn"), ("chief", "admin")):
        terms = KeyTerms(digest=digest_of(name.encode()), scopes=(scope,))
        store.keys.create(name, terms, Actor(name="cli:root@here"))
    publish(store, BagOfWords(), MAIL)
    return store


@contextmanager
def _served(store: Store) -> Iterator[Running]:
    service = Service(store, Engines(BagOfWords()), Settings(), PrometheusMetrics())
    with running(service) as server:
        yield server


def _call(server: Running, who: str, name: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {who}", "X-Request-Id": name}
    answer = server.client.request(method, path, json=body, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def _work(server: Running) -> None:
    """A call of each kind that changes something; some of them twice, and one that only asks."""
    teach = {"examples": [{"input": TEXT, "label": LABEL}] * 3}
    ask = {"inputs": ["where is my parcel"]}
    found = _call(server, "teacher", "r0", "POST", "/v1/classify", ask)["results"][0]
    truth = {"prediction_id": found["id"], "label": LABEL, "input": {"text": TEXT}}
    _call(server, "teacher", "r1", "POST", "/v1/tasks/mood/examples", teach)
    _call(server, "teacher", "r2", "POST", "/v1/feedback", {"feedback": [truth], "learn": True})
    _call(server, "teacher", "again", "POST", "/v1/feedback", {"feedback": [truth], "learn": True})
    _call(server, "teacher", "r3", "PUT", "/v1/tasks/mood", {"labels": [LABEL]})
    _call(server, "chief", "again", "PUT", "/v1/tasks/mood", {"labels": [LABEL]})
    _call(server, "chief", "r4", "POST", "/v1/versions/1/promote")
    _call(server, "chief", "r5", "DELETE", "/v1/tasks/mood")


def _try(server: Running) -> None:
    """A version that is not live is pinned, and a canary for a while."""
    _call(server, "chief", "r6", "PUT", "/v1/versions/1/pin")
    _call(server, "chief", "again", "PUT", "/v1/versions/1/pin")
    _call(server, "chief", "r7", "PUT", "/v1/canary", {"version": 1, "percent": 5})
    _call(server, "chief", "r8", "DELETE", "/v1/canary")


def _audit(store: Path, *flags: str) -> str:
    result = CliRunner().invoke(
        main, ["audit", "--store", str(store), *flags], env={"COLUMNS": "250"}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def _told(store: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in _audit(store, "--json").splitlines()]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    return lines


def test_each_change_has_its_author_once(store: Store, tmp_path: Path) -> None:
    publish(store, BagOfWords(), MAIL)
    with _served(store) as server:
        _work(server)
        _try(server)
    told = _told(tmp_path / "store")
    by_callers = [
        (one["who"], one["what"], one["task"], one["examples"], one["outcome"], one["request"])
        for one in told
        if one["request"] is not None
    ]
    assert by_callers == [
        ("teacher", "examples", "mood", 3, "queued", "r1"),
        ("teacher", "feedback", "mail", 1, "queued", "r2"),
        ("teacher", "declare", "mood", None, None, "r3"),
        ("chief", "rollback", None, None, None, "r4"),
        ("chief", "forget", "mood", None, "queued", "r5"),
        ("chief", "withdraw", "mood", None, None, "r5"),
        ("chief", "pin", None, None, None, "r6"),
        ("chief", "canary", None, None, None, "r7"),
        ("chief", "canary end", None, None, None, "r8"),
    ]
    about = ("rollback", "pin", "canary", "canary end")
    assert [one["source"] for one in told if one["what"] in about] == [1] * 4
    keys = [(one["who"], one["what"], one["key"]) for one in told[:2]]
    assert keys == [("cli:root@here", "key create", name) for name in ("teacher", "chief")]
    said = _audit(tmp_path / "store")
    assert "task mood, 3 examples" in said
    assert TEXT not in said
    assert LABEL not in said


def test_who_taught_is_still_known_when_a_batch_is_decided(store: Store, tmp_path: Path) -> None:
    with _served(store) as server:
        _work(server)
    first, second = store.intake.pending()
    for batch in (first, second):
        task = store.intake.read(batch).task
        version = live(store, Kind.TRAIN, batches=(batch,), decided=(batch,))
        store.intake.settle(Outcome(batch=batch, task=task, status="published", version=version))
    told = {one["request"]: one for one in _told(tmp_path / "store")}
    assert (told["r1"]["outcome"], told["r1"]["who"]) == ("published", "teacher")
    assert (told["r2"]["what"], told["r2"]["examples"]) == ("feedback", 1)
    assert store.manifest(told["r1"]["version"]).kind is Kind.TRAIN


def test_the_server_logs_the_same_and_nothing_that_was_sent(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, BagOfWords(), MAIL)
    with caplog.at_level(logging.INFO, logger="perennial.audit"), _served(store) as server:
        _work(server)
        _try(server)
    ours = [record for record in caplog.records if record.name == "perennial.audit"]
    lines = [orjson.loads(JsonFormatter().format(record)) for record in ours]
    assert [(line["who"], line["message"]) for line in lines] == [
        ("teacher", "examples"),
        ("teacher", "feedback"),
        ("teacher", "declare"),
        ("chief", "rollback"),
        ("chief", "forget"),
        ("chief", "pin"),
        ("chief", "canary"),
        ("chief", "canary end"),
    ]
    assert all(line["logger"] == "perennial.audit" for line in lines)
    for sent in (TEXT, LABEL, "mood", "mail"):
        assert sent not in json.dumps(lines)


def test_without_keys_it_was_this_machine(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with _served(store) as server:
        body = {"examples": [{"input": "a", "label": "b"}]}
        _call(server, "-", "r1", "POST", "/v1/tasks/mood/examples", body)
    (told,) = _told(tmp_path / "store")
    assert (told["who"], told["what"]) == ("this-machine", "examples")
