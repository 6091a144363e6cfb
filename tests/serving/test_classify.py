"""Predicting over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backbones import Bank, Input
from learner import content
from learner.domain import ALL
from learner.heads.novelty import Novelty, fit_novelty
from learner.statistics import ClassStatistics
from prompt_store import Kind, Store
from serving.forward import best
from serving.snapshot import View
from tests.serving.bag_of_words import BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import (
    BOTH,
    MAIL,
    Texts,
    commit,
    nearest_mean,
    prefix_of,
    publish,
    seen_last,
)


def _top(answer: dict[str, Any], index: int = 0) -> tuple[str, str]:
    first = answer["results"][index]["predictions"][0]
    return first["task"], first["label"]


def _scores(answer: dict[str, Any], index: int = 0) -> list[float]:
    return [one["score"] for one in answer["results"][index]["predictions"]]


def test_one_text_and_a_list_of_them_are_answered_alike(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    version = publish(any_store, backbone, MAIL).version
    client = serve(any_store, backbone).client
    alone = client.post("/v1/classify", json={"inputs": "i want a refund now"}).json()
    many = client.post(
        "/v1/classify", json={"inputs": [{"text": "i want a refund now"}, "where is my parcel"]}
    ).json()
    assert alone["version"] == many["version"] == version
    assert _scores(alone) == pytest.approx(_scores(many), rel=1e-4)
    assert (_top(many, 0), _top(many, 1)) == (("mail", "refund"), ("mail", "delivery"))
    assert len({one["id"] for one in (*alone["results"], *many["results"])}) == 3


def test_without_a_task_all_classes_compete_and_with_one_only_its_own(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, BOTH)
    client = serve(store, backbone).client
    every = client.post("/v1/classify", json={"inputs": "so angry"}).json()
    assert _top(every) == ("mood", "cross")
    assert sum(_scores(every)) == pytest.approx(1, abs=1e-5)
    assert len(_scores(every)) == 4
    mail = client.post("/v1/classify", json={"inputs": "so angry", "task": "mail"}).json()
    assert {one["task"] for one in mail["results"][0]["predictions"]} == {"mail"}
    assert sum(_scores(mail)) == pytest.approx(1, abs=1e-5)


def test_top_k_keeps_the_best_in_order(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    publish(store, backbone, BOTH)
    client = serve(store, backbone).client
    every = _scores(client.post("/v1/classify", json={"inputs": "so happy", "top_k": 100}).json())
    two = _scores(client.post("/v1/classify", json={"inputs": "so happy", "top_k": 2}).json())
    assert every == sorted(every, reverse=True)
    assert two == pytest.approx(every[:2])


def test_a_task_with_a_prompt_of_its_own_is_answered_under_it(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    aggregate, own = prefix_of(backbone, 2, seed=1), prefix_of(backbone, 3, seed=2)
    publish(store, backbone, BOTH, aggregate=aggregate, prompts={"mood": own})
    client = serve(store, backbone).client
    answer = client.post("/v1/classify", json={"inputs": "so happy", "task": "mood"}).json()
    head = nearest_mean(backbone, list(BOTH["mood"].values()), own)
    features = backbone.encode(backbone.preprocess([Input(text="so happy")]), Bank.stack([own]))
    expected = np.exp(head.log_posteriors(features))[0]
    assert _scores(answer) == pytest.approx(sorted(expected.tolist(), reverse=True), rel=1e-4)
    flat = client.post("/v1/classify", json={"inputs": "so happy", "task": "mail"}).json()
    assert {one["task"] for one in flat["results"][0]["predictions"]} == {"mail"}


def test_novelty_is_told_for_answers_under_the_aggregate(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    own = prefix_of(backbone, 3, seed=2)
    texts: Texts = {"mail": {label: [*some, some[0]] for label, some in MAIL["mail"].items()}}
    flat = list(texts["mail"].values())
    head = seen_last(backbone, nearest_mean(backbone, flat))
    blobs = content.write_head(store.blobs, content.DOMAIN_HEAD + ALL, head)
    blobs |= content.write_novelty(store.blobs, content.NOVELTY + ALL, _novelty(backbone, texts))
    commit(store, backbone, texts, blobs, kind=Kind.REFRESH)
    running = serve(store, backbone)
    odd = "quantum flux capacitors dream electric sheep"
    answer = running.client.post("/v1/classify", json={"inputs": [odd, flat[0][0]]}).json()
    far, near = (one["novelty"] for one in answer["results"])
    assert 0 <= near < far <= 1
    prompted = publish(store, backbone, MAIL, prompts={"mail": own})
    running.reach(prompted.version)
    answer = running.client.post("/v1/classify", json={"inputs": odd, "task": "mail"}).json()
    assert answer["results"][0]["novelty"] is None


def _novelty(backbone: BagOfWords, texts: Texts) -> Novelty:
    labels = texts["mail"]
    inputs = [Input(text=text) for some in labels.values() for text in some]
    features = backbone.encode(backbone.preprocess(inputs))
    targets = np.repeat(np.arange(len(labels)), [len(some) for some in labels.values()])
    statistics = ClassStatistics.of(features, targets, tuple(labels))
    novelty = fit_novelty(features, targets, statistics)
    assert novelty is not None
    return novelty


def test_an_empty_store_is_ready_and_says_what_to_do(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(any_store, backbone).client
    assert client.get("/health/ready").status_code == 200
    refused = client.post("/v1/classify", json={"inputs": "anything"})
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/no-classes")
    assert "/v1/tasks/{task}/examples" in refused.json()["detail"]
    assert "Retry-After" not in refused.headers


def test_before_the_first_version_it_says_that_batches_are_being_learnt(
    any_store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    client = serve(any_store, backbone).client
    for _ in range(2):
        client.post("/v1/tasks/t/examples", json={"examples": [{"input": "a", "label": "b"}]})
    for body in ({"inputs": "a"}, {"inputs": "a", "task": "t"}):
        refused = client.post("/v1/classify", json=body)
        assert (refused.status_code, refused.headers["Retry-After"]) == (409, "1")
        assert refused.json()["type"].endswith("/no-classes")
        assert "2 batches are being learnt" in refused.json()["detail"]


def test_many_texts_are_answered_in_their_order(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    publish(store, backbone, BOTH)
    client = serve(store, backbone, batching={"inputs": 7, "tokens": 20}).client
    known = [
        (text, (task, label))
        for task, labels in BOTH.items()
        for label, some in labels.items()
        for text in some
    ]
    sent = [known[(7 * index) % len(known)] for index in range(100)]
    answer = client.post("/v1/classify", json={"inputs": [text for text, _ in sent]}).json()
    assert [_top(answer, index) for index in range(100)] == [expected for _, expected in sent]


def test_equal_scores_keep_the_order_of_the_classes(backbone: BagOfWords) -> None:
    head = seen_last(backbone, nearest_mean(backbone, [["a"], ["b"], ["c"]]))
    view = View(0, head, (("t", "a"), ("t", "b"), ("t", "c")))
    found = best(np.array([0.25, 0.5, 0.25], np.float32), view, 3)
    assert [one.label for one in found] == ["b", "a", "c"]
