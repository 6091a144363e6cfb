"""Requests to forget over HTTP: what is known is noted durably, what is not is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx

from learner.archive import EXAMPLES
from learner.examples import TaskExamples
from prompt_store import Example, Kind, Manifest, RetentionConfig, Store, batch_id
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import MAIL, commit, publish

KEPT = [
    Example(id=f"row-{number}", label=label, text=text)
    for number, (label, text) in enumerate(
        (label, text) for label, texts in MAIL["mail"].items() for text in texts
    )
]


def published(store: Store, backbone: BagOfWords) -> Manifest:
    """A version as a learner's, whose examples are kept."""
    made = publish(store, backbone, MAIL)
    kept = TaskExamples("mail").add("batch", KEPT)
    blobs = {**made.blobs, EXAMPLES + "mail": store.blobs.put(kept.to_bytes())}
    return commit(store, backbone, MAIL, blobs, kind=Kind.REFRESH)


def forget_examples(client: httpx.Client, ids: Sequence[str], task: str = "mail") -> httpx.Response:
    return client.post(f"/v1/tasks/{task}/examples/forget", json={"ids": ids})


def slug(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def test_a_class_is_asked_for_by_its_label_and_declared_no_longer(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    published(any_store, backbone)
    client = serve(any_store, backbone).client
    client.put("/v1/tasks/mail", json={"labels": ["refund", "delivery", "planned"]})
    answer = client.delete("/v1/tasks/mail/labels/refund")
    assert answer.status_code == 202
    (noted,) = any_store.erasures.pending()
    assert (noted.task, noted.label, noted.examples) == ("mail", "refund", ())
    assert answer.json() == {"task": "mail", "status": "forgetting", "erasure": noted.id}
    assert answer.headers["Location"] == f"/v1/erasures/{noted.id}"
    assert client.get("/v1/tasks/mail").json()["declared_labels"] == ["delivery", "planned"]
    for label in ("delivery", "planned"):
        assert client.delete(f"/v1/tasks/mail/labels/{label}").status_code == 202
    assert client.get("/v1/tasks/mail").json()["declared_labels"] is None
    assert slug(client.delete("/v1/tasks/mail/labels/nothing")) == (404, "unknown-label")
    assert slug(client.delete("/v1/tasks/none/labels/refund")) == (404, "unknown-task")


def test_a_class_that_only_waits_can_be_forgotten(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(store, backbone).client
    body = {"examples": [{"input": "so nice", "label": "praise", "id": "own-1"}]}
    assert client.post("/v1/tasks/mail/examples", json=body).status_code == 202
    assert client.delete("/v1/tasks/mail/labels/praise").status_code == 202
    assert slug(client.delete("/v1/tasks/mail/labels/blame")) == (404, "unknown-label")
    assert forget_examples(client, ["own-1"]).status_code == 202


def test_examples_are_asked_for_by_their_ids_all_or_none(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    published(any_store, backbone)
    woken: list[bool] = []
    client = serve(any_store, backbone, hooks={"wake": lambda: woken.append(True)}).client
    refused = forget_examples(client, ["row-1", "row-x", "row-3", "row-y"])
    assert slug(refused) == (404, "unknown-example")
    errors = refused.json()["errors"]
    assert [one["pointer"] for one in errors] == ["#/ids/1", "#/ids/3"]
    assert "'row-x'" in errors[0]["detail"]
    assert "forget their label" in refused.json()["detail"]
    assert (any_store.erasures.pending(), woken) == ([], [])
    assert forget_examples(client, ["row-1", "row-3", "row-1"]).status_code == 202
    (noted,) = any_store.erasures.pending()
    assert (noted.label, noted.examples, woken) == (None, ("row-1", "row-3"), [True])
    assert slug(forget_examples(client, ["row-1"], "none")) == (404, "unknown-task")
    assert slug(forget_examples(client, [])) == (422, "invalid-content")
    assert slug(forget_examples(client, ["x" * 200])) == (422, "invalid-content")


def test_the_report_says_what_went_in_numbers_and_what_still_holds_it(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    before = published(any_store, backbone)
    client = serve(any_store, backbone).client
    where = client.delete("/v1/tasks/mail/labels/refund").headers["Location"]
    report = client.get(where).json()
    assert (report["status"], report["version"], report["older_versions"]) == (
        "forgetting",
        None,
        [],
    )
    (noted,) = any_store.erasures.pending()
    counts = {"examples": 2, "classes": 1, "prompts_dropped": 0, "not_found": 0, "exact": 1}
    forgotten = publish(
        any_store, backbone, MAIL, kind=Kind.FORGET, metrics={"erasure": noted.id, **counts}
    )
    publish(any_store, backbone, MAIL)
    any_store.erasures.settle(noted)
    report = client.get(where).json()
    assert {name: report[name] for name in counts} == {**counts, "exact": True}
    assert (report["status"], report["version"]) == ("forgotten", forgotten.version)
    assert report["older_versions"] == [{"first": 1, "last": before.version}]
    deletable = datetime.fromisoformat(report["deletable_from"])
    assert deletable == forgotten.created_at + timedelta(seconds=RetentionConfig().grace_seconds)
    for other in (batch_id(), batch_id("a key"), "..%5Cformat"):
        assert slug(client.get(f"/v1/erasures/{other}")) == (404, "unknown-erasure")
