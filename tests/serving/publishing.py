"""Versions for tests, committed as the learner commits them: through the content codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backbones import Backbone, Bank, FloatArray, Input, Prefix
from learner import content
from learner.domain import ALL
from learner.heads import LinearHead
from learner.heads.viewed import ViewedHead
from learner.view import View
from prompt_store import Draft, Kind, Manifest, MethodReference, Store, TaskEntry

Texts = Mapping[str, Mapping[str, Sequence[str]]]
"""Texts by task and label."""
Contents = Mapping[str, Mapping[str, Sequence[str | bytes]]]
"""Texts or image files, by task and label."""

MAIL: Texts = {
    "mail": {
        "refund": ["give my money back", "i want a refund now"],
        "delivery": ["where is my parcel", "the parcel is late"],
    }
}
BOTH: Texts = {
    **MAIL,
    "mood": {"glad": ["what a lovely day", "so happy"], "cross": ["this is awful", "so angry"]},
}


def nearest_mean(
    backbone: Backbone, texts: Sequence[Sequence[str | bytes]], prefix: Prefix | None = None
) -> LinearHead:
    """A head with one class for each sequence of texts or images: its mean feature, as a column."""
    bank = None if prefix is None else Bank.stack([prefix])
    means = [_mean(backbone, some, bank) for some in texts]
    return LinearHead(np.stack(means, axis=1), np.zeros(len(means), np.float32), 0.1)


def seen_last(backbone: Backbone, head: LinearHead) -> ViewedHead:
    """The head as it looks at the last layer."""
    return ViewedHead((View((backbone.description.layers,)),), (head,))


def _mean(backbone: Backbone, texts: Sequence[str | bytes], bank: Bank | None) -> FloatArray:
    batch = backbone.preprocess([as_input(one) for one in texts])
    mean: FloatArray = backbone.encode(batch, bank).mean(axis=0)
    return mean


def as_input(one: str | bytes) -> Input:
    """A text, or the bytes of an image file."""
    return Input(text=one) if isinstance(one, str) else Input(image=one)


def prefix_of(backbone: Backbone, rows: int, seed: int) -> Prefix:
    """A random prefix of this many rows."""
    description = backbone.description
    shape = description.prefix_shape(rows)
    generator = np.random.default_rng(seed)
    layers, _, heads, _, _ = shape
    keys_values = generator.normal(0, 0.5, shape).astype(np.float32)
    return Prefix(keys_values, np.zeros((layers, heads, rows), np.float32))


def publish(
    store: Store,
    backbone: Backbone,
    texts: Contents,
    *,
    kind: Kind = Kind.REFRESH,
    aggregate: Prefix | None = None,
    prompts: Mapping[str, Prefix] | None = None,
    **draft: Any,
) -> Manifest:
    """Commits a version that knows these texts. prompts: tasks' own prefixes, with own heads."""
    prompts = prompts or {}
    blobs: dict[str, str] = {}
    flat = [some for labels in texts.values() for some in labels.values()]
    head = seen_last(backbone, nearest_mean(backbone, flat, aggregate))
    blobs |= content.write_head(store.blobs, content.DOMAIN_HEAD + ALL, head)
    if aggregate is not None:
        blobs |= content.write_prefix(store.blobs, content.DOMAIN_PREFIX + ALL, aggregate)
    for task, prefix in prompts.items():
        own = seen_last(backbone, nearest_mean(backbone, list(texts[task].values()), prefix))
        blobs |= content.write_prefix(store.blobs, content.TASK_PREFIX + task, prefix)
        blobs |= content.write_head(store.blobs, content.TASK_HEAD + task, own)
    return commit(store, backbone, texts, blobs, kind=kind, **draft)


def commit(
    store: Store, backbone: Backbone, texts: Contents, blobs: Mapping[str, str], **draft: Any
) -> Manifest:
    """Appends a manifest with these blobs."""
    timeline = store.timeline()
    return store.append(
        Draft(
            epoch=timeline.epoch,
            writer="test",
            parent=timeline.live,
            backbone=backbone.description.fingerprint,
            method=MethodReference(name="frozen", config_digest="none"),
            labels=tuple(
                content.class_id(t, label) for t, labels in texts.items() for label in labels
            ),
            tasks={task: _entry(labels) for task, labels in texts.items()},
            blobs=dict(blobs),
            **draft,
        ),
        after=timeline.head,
    )


def _entry(labels: Mapping[str, Sequence[str | bytes]]) -> TaskEntry:
    examples = sum(len(some) for some in labels.values())
    return TaskEntry(classes=len(labels), examples=examples, mode="aggregate")
