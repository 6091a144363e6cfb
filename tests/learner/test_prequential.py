"""What is live answers new examples first, and the version that learns them says how."""

from __future__ import annotations

import pytest

from backbones import Input
from backbones.text.backbone import TorchTextBackbone
from learner.content import ContentReader, class_id
from learner.sight import Seen
from prompt_store import Batch, Manifest, Prequential, Store
from tests.learner.conftest import MakeLearner, batch, quick, run_dry


def live(store: Store) -> Manifest:
    version = store.timeline().live
    assert version is not None
    return store.manifest(version)


def learn(store: Store, make: MakeLearner, *batches: Batch, **options: str) -> Manifest:
    """The version whose refresh learnt these batches."""
    learner = make(store, quick(**options))
    for one in batches:
        store.intake.accept(one)
    run_dry(learner)
    version = store.timeline().head
    while batches[0].id not in store.manifest(version).batches:
        version -= 1
    return store.manifest(version)


def answered_rightly(store: Store, backbone: TorchTextBackbone, asked: Batch) -> int:
    """Of the examples, by what a replica serves to requests that name the task."""
    served = ContentReader(store.blobs).read(live(store))
    own = asked.task in served.heads
    domain = served.domains[served.index_of(asked.task)]
    row = served.rows[asked.task] if own else served.index_of(asked.task)
    head = served.heads[asked.task] if own else domain.head
    every = (
        [one for one in domain.labels if one.startswith(f"{asked.task}/")] if own else domain.labels
    )
    columns = [i for i, name in enumerate(every) if name.startswith(f"{asked.task}/")]
    texts = backbone.preprocess([Input(text=one.text) for one in asked.examples])
    bank = served.bank(backbone.description)
    rows = None if bank is None else [row] * len(asked.examples)
    seen = Seen(backbone.encode_layers(texts, bank, rows).pooled)
    best = head.log_posteriors(seen)[:, columns].argmax(axis=1)
    truths = [class_id(asked.task, one.label) for one in asked.examples]
    return sum(every[columns[b]] == truth for b, truth in zip(best, truths, strict=True))


def mixed_up(task: str) -> Batch:
    """Half of its labels are those of the other class: no head answers all of it rightly."""
    told = batch(task, ["refund", "order"])
    swapped = {"refund": "order", "order": "refund"}
    return told.model_copy(
        update={
            "examples": tuple(
                one.model_copy(update={"label": swapped[one.label]}) if number % 4 < 2 else one
                for number, one in enumerate(told.examples)
            )
        }
    )


@pytest.mark.parametrize(
    ("method", "gate"), [("frozen", "closed"), ("q-tuning", "open"), ("auto", "open")]
)
def test_known_classes_are_answered_by_what_is_live_before(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone, method: str, gate: str
) -> None:
    first = learn(
        store, learner_on, batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"]),
        method=method, gate=gate,
    )  # fmt: skip
    assert first.prequential == {
        task: Prequential(rows=0, right=0, new=16) for task in ("mail", "bank")
    }
    asked = mixed_up("mail")
    right = answered_rightly(store, tiny, asked)
    second = learn(store, learner_on, asked, method=method, gate=gate)
    assert second.prequential == {"mail": Prequential(rows=16, right=right, new=0)}
    assert 0 < right < 16


def test_new_classes_are_counted_apart(store: Store, learner_on: MakeLearner) -> None:
    learn(store, learner_on, batch("mail", ["refund", "order"]), method="frozen")
    asked = batch("mail", ["refund", "card", "loan"], rows=4)
    told = learn(store, learner_on, asked, method="frozen").prequential["mail"]
    assert (told.rows, told.new) == (4, 8)
    assert told.right == 4  # texts that it learnt


def test_without_kept_examples_too(store: Store, learner_on: MakeLearner) -> None:
    learn(store, learner_on, batch("mail", ["refund", "order"]), method="frozen", retain="none")
    asked = batch("mail", ["order", "card"], rows=4)
    told = learn(store, learner_on, asked, method="frozen", retain="none").prequential["mail"]
    assert (told.rows, told.right, told.new) == (4, 4, 4)


def test_only_versions_that_learn_say_so(store: Store, learner_on: MakeLearner) -> None:
    learn(store, learner_on, batch("mail", ["refund", "order"]), gate="open")
    versions = [store.manifest(number) for number in range(1, store.timeline().head + 1)]
    assert [bool(one.prequential) for one in versions] == [bool(one.batches) for one in versions]
    assert not live(store).prequential
