"""Versions with several domains: inputs find theirs inside the pass."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from backbones import Backbone, Bank, Input, Prefix
from learner import content
from learner.content import ContentReader
from learner.domains.router import fit_router
from learner.heads import LinearHead
from learner.heads.viewed import ViewedHead
from learner.sight import Seen
from learner.view import View
from prompt_store import Draft, Kind, Manifest, MethodReference, Store, TaskEntry
from serving.forward import ForwardPass, Slice, Work
from serving.precision import Engines
from serving.snapshot import Snapshot, SnapshotLoader
from tests.serving.bag_of_words import WIDTH, BagOfWords
from tests.serving.conftest import Serve
from tests.serving.publishing import BOTH, MAIL, Texts, nearest_mean, prefix_of, publish, seen_last

Heads = Mapping[str, ViewedHead]


def publish_apart(
    store: Store,
    backbone: Backbone,
    texts: Texts,
    prompts: Mapping[str, Prefix],
    heads: Heads | None = None,
) -> Manifest:
    """A version in which every task is its own domain, with a router between them."""
    blobs: dict[str, str] = {}
    lower = []
    for task, labels in texts.items():
        prompt = prompts.get(task)
        head = seen_last(backbone, nearest_mean(backbone, list(labels.values()), prompt))
        head = (heads or {}).get(task, head)
        blobs |= content.write_head(store.blobs, content.DOMAIN_HEAD + task, head)
        if prompt is not None:
            blobs |= content.write_prefix(store.blobs, content.DOMAIN_PREFIX + task, prompt)
        every = [Input(text=one) for some in labels.values() for one in some]
        lower.append([backbone.encode_layers(backbone.preprocess(every)).pooled[:, :1]])
    blobs |= content.write_router(store.blobs, fit_router(lower))
    timeline = store.timeline()
    return store.append(
        Draft(
            kind=Kind.REFRESH,
            epoch=timeline.epoch,
            writer="test",
            parent=timeline.live,
            backbone=backbone.description.fingerprint,
            method=MethodReference(name="auto", config_digest="none"),
            labels=tuple(content.class_id(t, c) for t, labels in texts.items() for c in labels),
            tasks={
                task: TaskEntry(
                    classes=len(labels),
                    examples=sum(map(len, labels.values())),
                    mode="domain" if task in prompts else "aggregate",
                    domain=task,
                )
                for task, labels in texts.items()
            },
            blobs=blobs,
        ),
        after=timeline.head,
    )


@pytest.fixture
def routed(store: Store, backbone: BagOfWords) -> Manifest:
    """Mail under a prompt of two rows, mood under none."""
    return publish_apart(store, backbone, BOTH, {"mail": prefix_of(backbone, 2, seed=1)})


def ask(server: Any, inputs: Any, **body: Any) -> list[dict[str, Any]]:
    answer = server.client.post("/v1/classify", json={"inputs": inputs, **body})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def expected(store: Store, backbone: BagOfWords, version: Manifest, text: str, task: str) -> Any:
    """Scores by label of a domain's head, worked out by hand, and the domain's probability."""
    served = ContentReader(store.blobs).read(version)
    index = served.index_of(task)
    prefix = served.domains[index].prefix
    batch = backbone.preprocess([Input(text=text)])
    states = backbone.encode_layers(batch, None if prefix is None else Bank.stack([prefix])).pooled
    assert served.router is not None
    share = np.exp(served.router.log_posteriors(states[:, :1]))[0, index]
    scores = np.exp(served.domains[index].head.log_posteriors(Seen(states)))[0]
    return dict(
        zip((n.partition("/")[2] for n in served.domains[index].labels), scores, strict=True)
    ), float(share)


@pytest.mark.parametrize(
    ("text", "task", "label"),
    [("i want a refund now", "mail", "refund"), ("so angry", "mood", "cross")],
)
def test_an_unnamed_input_is_answered_by_its_domain_times_its_probability(
    text: str,
    task: str,
    label: str,
    store: Store,
    backbone: BagOfWords,
    serve: Serve,
    routed: Manifest,
) -> None:
    (result,) = ask(serve(store, backbone), text)
    scores, share = expected(store, backbone, routed, text, task)
    found = result["predictions"]
    assert (found[0]["task"], found[0]["label"]) == (task, label)
    assert {one["label"]: one["score"] for one in found} == pytest.approx(
        {name: score * share for name, score in scores.items()}, rel=1e-4
    )
    assert 0.5 < share < 1
    assert sum(one["score"] for one in found) == pytest.approx(share, rel=1e-4)
    assert found[0]["score"] <= 1


def test_a_named_task_uses_its_domain_s_row_whatever_the_input_says(
    store: Store, backbone: BagOfWords, serve: Serve, routed: Manifest
) -> None:
    server = serve(store, backbone)
    for task in ("mail", "mood"):
        (result,) = ask(server, "so angry", task=task)
        scores, _ = expected(store, backbone, routed, "so angry", task)
        found = {one["label"]: one["score"] for one in result["predictions"]}
        assert found == pytest.approx(scores, rel=1e-4)
        assert sum(found.values()) == pytest.approx(1, abs=1e-5)


def plain(results: Any) -> list[Any]:
    """All but the ids, which are never the same."""
    return [
        (
            None if one.novelty is None else pytest.approx(one.novelty, rel=1e-4),
            [(p.task, p.label, pytest.approx(p.score, rel=1e-4)) for p in one.predictions],
        )
        for one in results
    ]


def test_named_unnamed_and_pinned_in_one_pass_equal_each_alone(
    store: Store, backbone: BagOfWords
) -> None:
    published = [
        publish_apart(store, backbone, BOTH, {"mail": prefix_of(backbone, 2, seed=1)}),
        publish(store, backbone, BOTH),
        publish_apart(store, backbone, BOTH, {"mood": prefix_of(backbone, 3, seed=2)}),
        publish(store, backbone, MAIL, aggregate=prefix_of(backbone, 1, seed=3)),
    ]
    loader = SnapshotLoader(store, backbone)
    snapshots: list[Snapshot] = [loader.load(one.version) for one in published]
    inputs = [Input(text=t) for t in ("so angry", "the parcel is late", "what a lovely day")]
    read = backbone.preprocess(inputs)
    slices = [
        Slice(Work(inputs, read, task=task, pinned=snapshot), snapshot, np.arange(len(inputs)))
        for snapshot in snapshots
        for task in (None, *snapshot.tasks)
    ]
    forward = ForwardPass(Engines(backbone))
    together = forward(slices)
    for one, results in zip(slices, together, strict=True):
        (alone,) = forward([one])
        assert [tuple(result)[1:] for result in results] == plain(alone)  # type: ignore[union-attr]


def test_requests_at_once_are_answered_as_alone(
    store: Store, backbone: BagOfWords, serve: Serve, routed: Manifest
) -> None:
    publish(store, backbone, BOTH)
    server = serve(store, backbone)
    bodies: list[dict[str, Any]] = [
        {"inputs": ["so angry", "where is my parcel"], **more}
        for more in ({}, {"task": "mood"}, {"version": routed.version})
    ]

    def send(body: dict[str, Any]) -> list[Any]:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            results = client.post("/v1/classify", json=body).json()["results"]
        return [[(p["label"], round(p["score"], 4)) for p in r["predictions"]] for r in results]

    alone = [send(body) for body in bodies]
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(send, bodies * 4)) == alone * 4


def test_pairs_are_seen_apart_where_a_head_asks_for_it(
    store: Store, backbone: BagOfWords, serve: Serve
) -> None:
    """Its scores tell two texts that are alike from two that are not: joined they are the same."""
    weights = np.zeros((2 * WIDTH, 2), np.float32)
    weights[WIDTH:, 0] = 1.0
    head = ViewedHead((View((), apart=True),), (LinearHead(weights, np.zeros(2, np.float32), 1.0),))
    publish_apart(store, backbone, BOTH, {"mail": prefix_of(backbone, 2, 1)}, {"mood": head})
    server = serve(store, backbone)
    joined = [
        {"text": "so happy", "text_pair": "so happy"},
        {"text": "so so", "text_pair": "happy happy"},
    ]
    same, other = ask(server, joined, task="mood")

    def glad(result: dict[str, Any]) -> float:
        return next(float(p["score"]) for p in result["predictions"] if p["label"] == "glad")

    assert glad(other) == pytest.approx(0.5, abs=1e-4)
    assert glad(same) > 0.9
    unnamed = ask(server, joined)
    assert glad(unnamed[0]) > glad(unnamed[1])


def test_domains_and_prompts_are_told(
    store: Store, backbone: BagOfWords, serve: Serve, routed: Manifest
) -> None:
    client = serve(store, backbone).client
    info = client.get("/v1/info").json()
    assert info["domains"] == ["mail", "mood"]
    assert info["routed"] is True
    tasks = {one["task"]: one for one in client.get("/v1/tasks").json()["tasks"]}
    assert {name: (one["domain"], one["prompt"]) for name, one in tasks.items()} == {
        "mail": ("mail", "domain"),
        "mood": ("mood", "none"),
    }


def test_one_domain_is_not_routed(store: Store, backbone: BagOfWords, serve: Serve) -> None:
    publish(store, backbone, BOTH)
    info = serve(store, backbone).client.get("/v1/info").json()
    assert info["routed"] is False
    assert len(info["domains"]) == 1
