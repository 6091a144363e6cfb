"""The truth about predictions over HTTP: judged, counted once, and learnt where that is asked."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import orjson
import pytest

from prompt_store import Store
from serving.feedback import Judged, Outcome, Truth
from serving.live_accuracy import LiveAccuracy, Tally
from serving.metrics import PrometheusMetrics
from serving.settings import Key, Scope
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, publish
from tests.serving.running import Running
from tests.serving.test_problems import check

FEEDBACK = "/v1/feedback"
REFUND, PARCEL, HAPPY = "i want a refund now", "where is my parcel", "so happy"


@pytest.fixture
def running(store: Store, backbone: BagOfWords, serve: Serve) -> Running:
    publish(store, backbone, BOTH)
    return serve(store, backbone, limits={"inputs": 4})


def _ids(client: httpx.Client, *texts: str, **asked: Any) -> list[str]:
    """Of the predictions for these texts."""
    answer = client.post("/v1/classify", json={"inputs": list(texts), **asked}).json()
    return [one["id"] for one in answer["results"]]


def _truth(name: str, label: str, **more: Any) -> dict[str, Any]:
    return {"prediction_id": name, "label": label, **more}


def _tell(client: httpx.Client, *truths: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = client.post(FEEDBACK, json={"feedback": list(truths), **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _outcomes(told: dict[str, Any]) -> list[str]:
    return [one["outcome"] for one in told["feedback"]]


def test_truths_are_judged_by_the_version_that_answered(
    running: Running, store: Store, backbone: BagOfWords
) -> None:
    client = running.client
    right, wrong, elsewhere, new = _ids(client, REFUND, REFUND, HAPPY, REFUND)
    running.reach(publish(store, backbone, MAIL).version)
    (later,) = _ids(client, HAPPY)
    told = _tell(
        client,
        _truth(right, "refund"),
        _truth(wrong, "delivery"),
        _truth(elsewhere, "refund", task="mail"),
        _truth(new, "praise"),
    )
    assert _outcomes(told) == ["right", "wrong", "wrong", "new"]
    assert [(one["version"], one["task"]) for one in told["feedback"]] == [(1, "mail")] * 4
    assert _outcomes(_tell(client, _truth(later, "glad", task="mood"))) == ["new"]
    live = client.get(FEEDBACK).json()["accuracy"]
    first = {"version": 1, "task": "mail", "right": 1, "wrong": 2, "new": 1}
    assert live == [
        {"version": 2, "task": "mail", "right": 0, "wrong": 0, "new": 1, "accuracy": None},
        {**first, "accuracy": pytest.approx(1 / 3)},
    ]


def test_one_alone_is_enough(running: Running) -> None:
    (name,) = _ids(running.client, PARCEL, task="mail")
    answer = running.client.post(FEEDBACK, json={"feedback": _truth(name, "delivery")})
    assert answer.json() == {
        "feedback": [
            {
                "prediction_id": name,
                "version": 1,
                "task": "mail",
                "outcome": "right",
                "repeated": False,
            }
        ],
        "batch": None,
    }


def test_a_prediction_counts_once_and_the_first_word_stays(running: Running) -> None:
    (name,) = _ids(running.client, REFUND)
    _tell(running.client, _truth(name, "refund"))
    assert _tell(running.client, _truth(name, "delivery"))["feedback"][0]["repeated"]
    (tally,) = running.client.get(FEEDBACK).json()["accuracy"]
    assert (tally["right"], tally["wrong"]) == (1, 0)
    measured = running.client.get("/metrics").text
    assert 'perennial_feedback_total{outcome="right",task="mail"} 1.0' in measured
    assert 'outcome="wrong"' not in measured


def test_tasks_that_no_version_knows_make_no_measurements(running: Running) -> None:
    (name,) = _ids(running.client, REFUND)
    (judged,) = _tell(running.client, _truth(name, "a", task="secret"))["feedback"]
    assert (judged["task"], judged["outcome"]) == ("secret", "new")
    measured = running.client.get("/metrics").text
    assert 'perennial_feedback_total{outcome="new",task="mail"} 1.0' in measured
    assert "secret" not in measured


def test_lines_with_names_of_their_own_can_be_told_about_too(running: Running) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    lines = b'{"id": "mine", "text": "so happy"}\n"so happy"'
    answer = running.client.post("/v1/classify", content=lines, headers=headers)
    named, unnamed = (orjson.loads(line) for line in answer.iter_lines())
    assert named["id"] == "mine"
    assert "prediction_id" not in unnamed
    truths = [_truth(named["prediction_id"], "glad"), _truth(unnamed["id"], "cross")]
    assert _outcomes(_tell(running.client, *truths)) == ["right", "wrong"]


def test_unknown_predictions_are_named_and_nothing_is_counted(
    running: Running, backbone: BagOfWords, serve: Serve
) -> None:
    other = Store.open("memory://feedback-of-another-server")
    publish(other, backbone, BOTH)
    (foreign,) = _ids(serve(other, backbone).client, REFUND)
    (ours,) = _ids(running.client, REFUND)
    truths = [_truth(one, "refund") for one in (foreign, ours, "0192f3a8", "_" * 32)]
    problem = check(running.client.post(FEEDBACK, json={"feedback": truths}), "unknown-prediction")
    assert [one["pointer"] for one in problem["errors"]] == [
        f"#/feedback/{index}/prediction_id" for index in (0, 2, 3)
    ]
    assert running.client.get(FEEDBACK).json()["accuracy"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"feedback": []}, "#/feedback"),
        ({"feedback": [{}] * 5}, "#/feedback"),
        ({"feedback": [{"label": "a"}]}, "#/feedback/0/prediction_id"),
        ({"feedback": [{}, {"label": "a/b"}]}, "#/feedback/1/label"),
        ({"feedback": [{}, {"prediction_id": "b c"}]}, "#/feedback/1/prediction_id"),
        ({"feedback": [{}, {}]}, "#/feedback/1/prediction_id"),
        ({"feedback": [{"input": REFUND}]}, "#/feedback/0/input"),
        ({"learn": True}, "#/feedback/0/input"),
        ({"typo": 1}, "#/typo"),
    ],
)
def test_content_that_cannot_be_judged(
    running: Running, change: dict[str, Any], pointer: str
) -> None:
    (name,) = _ids(running.client, REFUND)
    whole = _truth(name, "refund")
    told = [{**whole, **one} for one in change.get("feedback", [{}])]
    if pointer == "#/feedback/0/prediction_id":
        told = change["feedback"]
    answer = running.client.post(FEEDBACK, json={**change, "feedback": told})
    problem = check(answer, "invalid-content")
    assert pointer in [one["pointer"] for one in problem["errors"]], problem


def test_what_is_to_be_learnt_is_one_batch_however_often_it_is_sent(
    running: Running, store: Store
) -> None:
    client = running.client
    one, other = _ids(client, REFUND, "it never came")
    truths = [
        _truth(one, "refund", input=REFUND),
        _truth(other, "delivery", task="mail", input={"text": "it never came"}),
    ]
    first = _tell(client, *truths, learn=True)
    again = _tell(client, *truths, learn=True)
    assert first["batch"] == again["batch"]
    assert [one["repeated"] for one in again["feedback"]] == [True, True]
    assert store.intake.pending() == [first["batch"]]
    kept = store.intake.read(first["batch"])
    assert kept.task == "mail"
    assert [(e.id, e.label, e.text) for e in kept.examples] == [
        (one, "refund", REFUND),
        (other, "delivery", "it never came"),
    ]
    assert client.get(f"/v1/batches/{first['batch']}").json()["status"] == "queued"
    truths[0]["label"] = "delivery"
    changed = client.post(FEEDBACK, json={"feedback": truths, "learn": True})
    check(changed, "idempotency-key-reused")


def test_what_cannot_be_learnt_counts_for_nothing(running: Running, store: Store) -> None:
    client = running.client
    client.put("/v1/tasks/mail", json={"labels": ["refund", "delivery"]})
    mail, mood = _ids(client, REFUND, HAPPY)
    several = [_truth(mail, "refund", input=REFUND), _truth(mood, "glad", input=HAPPY)]
    undeclared = [_truth(mail, "praise", input=REFUND)]
    image = [_truth(mail, "refund", input={"image": "AAAA"})]
    for truths, slug, pointer in (
        (several, "invalid-content", "#/feedback/1/task"),
        (undeclared, "invalid-content", "#/feedback"),
        (image, "unsupported-input", "#/feedback/0/input"),
    ):
        refused = client.post(FEEDBACK, json={"feedback": truths, "learn": True})
        assert check(refused, slug)["errors"][0]["pointer"] == pointer
    assert store.intake.pending() == []
    assert client.get(FEEDBACK).json()["accuracy"] == []


def test_learning_from_feedback_needs_the_scope_of_learning(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, MAIL)
    client = serve(store, backbone, keys=(_key("predict"), _key("learn"))).client
    client.headers["Authorization"] = "Bearer predict"
    (name,) = _ids(client, REFUND)
    body = {"feedback": _truth(name, "refund", input=REFUND), "learn": True}
    check(client.post(FEEDBACK, json=body), "forbidden")
    assert store.intake.pending() == []
    _tell(client, _truth(name, "refund"))
    learner = {"Authorization": "Bearer learn"}
    assert client.post(FEEDBACK, json=body, headers=learner).json()["batch"]


def _key(scope: Scope) -> Key:
    digest = hashlib.sha256(scope.encode()).hexdigest()
    return Key(name=scope, sha256=digest, scopes=frozenset([scope]))


def test_only_the_newest_predictions_count() -> None:
    live = LiveAccuracy(PrometheusMetrics(), window=3)
    outcomes: tuple[Outcome, ...] = ("wrong", "wrong", "right", "right", "new")
    for number, outcome in enumerate(outcomes):
        assert live.count(Judged(Truth(str(number), "a"), 1, "t", "t", outcome))
    assert live.tallies() == [Tally(1, "t", right=2, wrong=0, new=1)]
