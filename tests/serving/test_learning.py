"""Teaching over HTTP: what is accepted is durable, once, and can be followed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from learner.events import Event
from prompt_store import Kind, Outcome, Store
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, publish

EXAMPLES = [
    {"input": "i want a refund now", "label": "refund"},
    {
        "input": {"text": "where is it", "text_pair": "my parcel"},
        "label": "delivery",
        "id": "own-1",
    },
]


def _teach(client: httpx.Client, key: str | None = None, **changes: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"examples": EXAMPLES, **changes}
    return client.post("/v1/tasks/mail/examples", json=body, headers=headers)


def test_an_accepted_batch_is_in_the_intake_before_the_answer(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    woken: list[bool] = []
    running = serve(any_store, backbone, hooks={"wake": lambda: woken.append(True)})
    answer = _teach(running.client)
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["Location"] == f"/v1/batches/{body['batch']}"
    assert (body["task"], body["status"], body["examples"]) == ("mail", "queued", 2)
    kept = any_store.intake.read(body["batch"])
    assert [one.label for one in kept.examples] == ["refund", "delivery"]
    assert [one.id for one in kept.examples] == [f"{body['batch']}-0", "own-1"]
    assert (kept.examples[1].text, kept.examples[1].text_pair) == ("where is it", "my parcel")
    assert woken == [True]


def test_the_same_key_and_body_are_one_batch(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(any_store, backbone).client
    first, again = _teach(client, "key-1"), _teach(client, "key-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["batch"] == again.json()["batch"]
    assert any_store.intake.pending() == [first.json()["batch"]]
    assert _teach(client, "key-2").json()["batch"] != first.json()["batch"]
    assert _teach(client).json()["batch"] != _teach(client).json()["batch"]


def test_spacing_and_order_of_members_do_not_make_another_body(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    bodies = [
        '{"examples":[{"input":"a","label":"b"}]}',
        '{ "examples": [ {"label": "b", "input": {"text": "a"}} ] }',
    ]
    answers = [client.post("/v1/tasks/t/examples", content=b, headers=headers) for b in bodies]
    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].json()["batch"] == answers[1].json()["batch"]


@pytest.mark.parametrize("change", ["label", "text", "task"])
def test_the_same_key_with_another_body_is_refused(
    store: Store, backbone: BagOfWords, serve: Serve, change: str
) -> None:
    client = serve(store, backbone).client
    body = {"examples": [{"input": "a", "label": "b"}]}
    headers = {"Idempotency-Key": "k"}
    assert client.post("/v1/tasks/t/examples", json=body, headers=headers).status_code == 202
    other = {
        "label": {"examples": [{"input": "a", "label": "c"}]},
        "text": {"examples": [{"input": "x", "label": "b"}]},
    }.get(change, body)
    task = "u" if change == "task" else "t"
    refused = client.post(f"/v1/tasks/{task}/examples", json=other, headers=headers)
    assert refused.status_code == 422
    assert refused.json()["type"].endswith("/idempotency-key-reused")
    assert len(store.intake.pending()) == 1


def test_many_at_once_with_one_key_make_one_batch(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    running = serve(any_store, backbone)

    def teach(_: int) -> tuple[int, str]:
        with httpx.Client(base_url=running.url, timeout=30) as client:
            answer = _teach(client, "same")
            return answer.status_code, answer.json()["batch"]

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(teach, range(24)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 202
    assert len(any_store.intake.pending()) == 1


def test_two_callers_with_one_key_do_not_meet(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    keys = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "scopes": ["learn"]}
        for name in ("ann", "bob")
    ]
    client = serve(store, backbone, keys=keys).client
    batches = []
    for name, text in (("ann", "a"), ("bob", "b")):
        answer = client.post(
            "/v1/tasks/t/examples",
            json={"examples": [{"input": text, "label": "l"}]},
            headers={"Idempotency-Key": "1", "Authorization": f"Bearer {name}"},
        )
        assert answer.status_code == 202
        batches.append(answer.json()["batch"])
    assert len(set(batches)) == 2


def test_a_batch_is_followed_from_queued_to_published(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    running = serve(any_store, backbone)
    batch = _teach(running.client).json()["batch"]

    def standing() -> tuple[str, int | None]:
        body = running.client.get(f"/v1/batches/{batch}").json()
        return body["status"], body["version"]

    assert standing() == ("queued", None)
    refreshed = publish(any_store, backbone, MAIL, batches=(batch,)).version
    assert standing() == ("refreshed", refreshed)
    for phase in ("training", "evaluating"):
        running.service.observe(Event(kind="progress", batches=(batch,), phase=phase))
        assert standing() == (phase, refreshed)
    trained = publish(any_store, backbone, MAIL, kind=Kind.TRAIN, decided=(batch,)).version
    assert standing() == ("published", trained)  # between the commit and the settling
    any_store.intake.settle(Outcome(batch=batch, task="mail", status="published", version=trained))
    assert standing() == ("published", trained)
    assert not running.client.get(f"/v1/batches/{batch}").json()["gate_refused"]
    assert _teach(running.client, "late").json()["status"] == "queued"


def test_a_batch_whose_prompts_the_gate_refused_is_published_all_the_same(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    batch = _teach(client).json()["batch"]
    publish(store, backbone, MAIL, batches=(batch,))
    candidate = publish(store, backbone, MAIL, kind=Kind.CANDIDATE, decided=(batch,)).version
    store.intake.settle(Outcome(batch=batch, task="mail", status="published", version=candidate))
    body = client.get(f"/v1/batches/{batch}").json()
    assert (body["status"], body["version"], body["gate_refused"]) == ("published", candidate, True)


def test_a_failed_batch_says_why_and_its_key_still_answers(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    batch = _teach(client, "k").json()["batch"]
    store.intake.settle(Outcome(batch=batch, task="mail", status="failed", error="no words in it"))
    body = client.get(f"/v1/batches/{batch}").json()
    assert (body["status"], body["error"]) == ("failed", "no words in it")
    again = _teach(client, "k")
    assert again.status_code == 202
    assert again.json()["status"] == "failed"


def test_declared_labels_are_the_only_ones_accepted(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(any_store, backbone).client
    declared = client.put("/v1/tasks/mail", json={"labels": ["refund", "delivery"]})
    assert declared.status_code == 200
    assert declared.json()["declared_labels"] == ["refund", "delivery"]
    assert _teach(client).status_code == 202
    refused = _teach(client, examples=[{"input": "a", "label": "refnud"}])
    assert refused.status_code == 422
    assert "'refnud'" in refused.json()["detail"]
    client.put("/v1/tasks/mail", json={"labels": ["refund", "delivery", "refnud"]})
    assert _teach(client, examples=[{"input": "a", "label": "refnud"}]).status_code == 202


def test_declarations_survive_and_are_seen_by_every_replica(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    one, other = serve(any_store, backbone).client, serve(any_store, backbone).client
    one.put("/v1/tasks/mail", json={"labels": ["refund"]})
    assert other.get("/v1/tasks/mail").json()["declared_labels"] == ["refund"]
    other.put("/v1/tasks/mail", json={})
    assert one.get("/v1/tasks/mail").json()["declared_labels"] == []
    assert len(list(any_store.backend.list_after("declarations/"))) == 2
    one.put("/v1/tasks/mail", json={})
    assert len(list(any_store.backend.list_after("declarations/"))) == 2


def test_tasks_are_listed_with_what_is_taught_and_declared(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    version = publish(store, backbone, MAIL).version
    client = serve(store, backbone).client
    client.put("/v1/tasks/mood", json={"labels": ["glad"]})
    mail, mood = client.get("/v1/tasks").json()["tasks"]
    assert (mail["task"], mail["labels"], mail["examples"]) == ("mail", ["refund", "delivery"], 4)
    assert (mail["version"], mail["declared_labels"]) == (version, None)
    assert (mood["task"], mood["labels"], mood["declared_labels"]) == ("mood", [], ["glad"])
    assert (mood["version"], mood["examples"]) == (None, 0)
    narrow = client.put("/v1/tasks/mail", json={"labels": ["refund"]})
    assert narrow.status_code == 422
    assert narrow.json()["errors"][0]["pointer"] == "#/labels"
    assert "was taught 'delivery' already" in narrow.json()["detail"]


def test_forgetting_is_durable_and_withdraws_the_declaration(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    client = serve(store, backbone).client
    client.put("/v1/tasks/mail", json={})
    answer = client.delete("/v1/tasks/mail")
    assert (answer.status_code, answer.json()["task"]) == (202, "mail")
    assert [erasure.task for erasure in store.erasures.pending()] == ["mail"]
    assert client.get("/v1/tasks/mail").json()["declared_labels"] is None
    assert client.delete("/v1/tasks/nothing").status_code == 404


def test_names_are_kept_in_one_spelling(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    client = serve(store, backbone).client
    decomposed, composed = "cafe\u0301", "caf\u00e9"
    body = {"examples": [{"input": "a", "label": decomposed}]}
    batch = client.post(f"/v1/tasks/{decomposed}/examples", json=body).json()
    assert batch["task"] == composed
    kept = store.intake.read(batch["batch"])
    assert (kept.task, kept.examples[0].label) == (composed, composed)
