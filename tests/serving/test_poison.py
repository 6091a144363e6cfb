"""Input and stores made to do harm: each is refused as documented, and the server goes on."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from learner import content
from learner.domain import ALL
from prompt_store import Kind, Store
from prompt_store.blobs import blob_key
from prompt_store.tensors import MAX_HEADER_BYTES
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, commit, publish
from tests.serving.test_problems import CLASSIFY, ONE, TEACH, check

DOCUMENTED = Path(__file__).parents[2] / "docs" / "problems.md"
HEAD = content.DOMAIN_HEAD + ALL


@pytest.fixture
def client(store: Store, backbone: BagOfWords, serve: Serve) -> httpx.Client:
    """To a server that knows `MAIL`, with the limits that are usual."""
    publish(store, backbone, MAIL)
    return serve(store, backbone).client


# Versions


def _raw(data: bytes) -> Callable[[Store], dict[str, str]]:
    return lambda store: {HEAD: store.blobs.put(data)}


def _tampered(store: Store) -> dict[str, str]:
    """The bytes of a blob are another's."""
    digest = store.blobs.put(save({"a": np.zeros(3, np.float32)}))
    key = blob_key(digest)
    store.backend.delete(key)
    store.backend.create(key, save({"a": np.ones(3, np.float32)}))
    return {HEAD: digest}


POISONED = {
    "a huge header": _raw(
        (MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b" " * (MAX_HEADER_BYTES + 1)
    ),
    "a header that is longer than the file": _raw((2**62).to_bytes(8, "little") + b"{}"),
    "not a number": _raw(save({"a": np.array([np.nan], np.float32)})),
    "infinite": _raw(save({"a": np.array([np.inf], np.float32)})),
    "a pickle": _raw(b"\x80\x04cos\nsystem\n(S'true'\ntR."),
    "tampered": _tampered,
}


@pytest.mark.parametrize("name", POISONED)
def test_a_poisoned_version_is_never_served(
    store: Store, backbone: BagOfWords, serve: Serve, name: str
) -> None:
    publish(store, backbone, MAIL)
    poisoned = commit(store, backbone, MAIL, POISONED[name](store), kind=Kind.CANDIDATE).version
    client = serve(store, backbone).client
    refused = client.post(CLASSIFY, json={"inputs": "a", "version": poisoned})
    assert check(refused, "version-not-loadable")["version"] == poisoned
    check(client.post(f"/v1/versions/{poisoned}/promote"), "version-not-loadable")
    assert client.post(CLASSIFY, json={"inputs": "a"}).json()["version"] == 1


def test_a_version_of_another_backbone_does_not_go_live(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    running = serve(store, backbone)
    publish(store, BagOfWords("another"), BOTH)
    while not (trouble := running.client.get("/v1/info").json()["trouble"]):
        pass
    assert "another" in trouble[0] or "backbone" in trouble[0]
    assert running.client.post(CLASSIFY, json={"inputs": "a"}).json()["version"] == 1


# Names

UNSEEN = {
    "zero width": "a\u200bb",
    "a mark of byte order": "a\ufeff",
    "right to left": "a\u202eb",
    "an isolate": "a\u2066b",
    "a soft hyphen": "a\u00adb",
    "private": "a\ue000",
    "a surrogate": "a\ud800",
    "no character": "a\uffff",
    "a line": "a\u2028b",
    "an ideographic blank": "a\u3000",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_names_that_look_like_others_by_what_is_not_seen(client: httpx.Client, name: str) -> None:
    body = json.dumps({"examples": [{"input": "a", "label": UNSEEN[name]}]})
    answer = client.post(TEACH, content=body, headers={"Content-Type": "application/json"})
    assert check(answer, "invalid-content")["errors"][0]["pointer"] == "#/examples/0/label"


def test_letters_that_look_alike_make_two_names(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    latin, cyrillic = "pay", "\u0440\u0430\u0443"
    rows = [{"input": "a", "label": latin}, {"input": "b", "label": cyrillic}]
    batch = client.post(TEACH, json={"examples": rows}).json()["batch"]
    assert [one.label for one in store.intake.read(batch).examples] == [latin, cyrillic]


@pytest.mark.parametrize(
    "name", ["%2e", "%2e%2e", "..", "..%2f..%2fetc", "a%2fb", "%5c%2fa", "a%00"]
)
@pytest.mark.parametrize("tail", ["", "/examples"])
def test_names_that_are_paths_lead_nowhere(client: httpx.Client, name: str, tail: str) -> None:
    address = client.base_url.copy_with(raw_path=f"/v1/tasks/{name}{tail}".encode())
    body: dict[str, Any] = {"examples": [ONE]} if tail else {}
    answer = client.request("POST" if tail else "PUT", address, json=body)
    assert answer.status_code in (404, 422)
    assert answer.json()["type"].endswith(("/not-found", "/invalid-content"))
    assert [one["task"] for one in client.get("/v1/tasks").json()["tasks"]] == ["mail"]


# Bodies


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip"])
@pytest.mark.parametrize("path", [CLASSIFY, TEACH])
def test_nothing_is_unpacked(client: httpx.Client, path: str, coding: str) -> None:
    bomb = gzip.compress(b'{"inputs": "' + b"a" * 20_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = client.post(path, content=bomb, headers=headers)
    check(answer, "unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "identity"


MILLIONS = {
    "inputs": ("POST", CLASSIFY, b'{"inputs": [%s"a"]}' % (b'"a",' * 2_500_000)),
    "examples": (
        "POST",
        TEACH,
        b'{"examples": [%s{}]}' % (b'{"input":"a","label":"b"},' * 400_000),
    ),
    "labels": (
        "PUT",
        "/v1/tasks/mail",
        b'{"labels": [%s"a"]}' % b"".join(b'"%d",' % number for number in range(1_000_000)),
    ),
    "feedback": (
        "POST",
        "/v1/feedback",
        b'{"feedback": [%s{}]}' % (b'{"prediction_id":"a","label":"b"},' * 300_000),
    ),
}


@pytest.mark.parametrize("name", MILLIONS)
def test_a_million_of_anything_is_counted_and_not_looked_at(
    client: httpx.Client, name: str
) -> None:
    method, path, body = MILLIONS[name]
    headers = {"Content-Type": "application/json"}
    answer = client.request(method, path, content=body, headers=headers)
    assert "entries" in check(answer, "invalid-content")["detail"]


# Labels that contradict one another


def test_an_id_stands_for_one_example_of_a_batch(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    rows = [{"input": "a", "label": label, "id": "row-1"} for label in ("refund", "delivery")]
    problem = check(client.post(TEACH, json={"examples": rows}), "invalid-content")
    assert problem["errors"][0]["pointer"] == "#/examples/1/id"
    assert not store.intake.pending()
    for row in rows:  # in two batches they are two examples
        assert client.post(TEACH, json={"examples": [row]}).status_code == 202


def test_one_input_with_two_labels_is_two_examples(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    rows = [{"input": "a", "label": label} for label in ("refund", "delivery")]
    batch = client.post(TEACH, json={"examples": rows}).json()
    kept = store.intake.read(batch["batch"]).examples
    assert [(one.text, one.label) for one in kept] == [("a", "refund"), ("a", "delivery")]


# The table of all this


def test_every_rule_of_the_table_has_its_test() -> None:
    _, _, section = DOCUMENTED.read_text().partition("## Input made to do harm")
    named = set(re.findall(r"`(test_\w+)`", section))
    files = Path(__file__).parents[1].rglob("test_*.py")
    there = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert len(named) > 10
    assert named <= there
