"""Screenings: bounded, spread, and possible with more classes than they have rows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from backbones import Prefix
from backbones.checks import random_prefix
from backbones.text.backbone import TorchTextBackbone
from learner.archive import Archive
from learner.examples import KeptExample
from learner.gate import GateConfig
from learner.heads import HeadConfig
from learner.training import reexpress
from learner.trial import Field, confirm_aggregate, screen_aggregate
from prompt_store import Store
from tests.learner.conftest import MakeLearner, batch, quick, run_dry


def field(classes: int, each: int) -> Field:
    rows = [
        KeptExample(id=f"{c}-{i}", label=str(c), batch="b", held_out=i % 4 == 3)
        for c in range(classes)
        for i in range(each)
    ]
    targets = np.repeat(np.arange(classes), each)
    names = [f"t/{c}" for c in range(classes)]
    return Field(rows, targets, ["t"] * len(rows), names, np.zeros((len(rows), 2), np.float32))


def test_a_sample_is_bounded_and_a_third_of_it_judges() -> None:
    sample = field(classes=10, each=40).sample(90)
    assert len(sample.rows) == 90
    assert sample.held_out.sum() == 30
    assert set(Counter(sample.targets.tolist()).values()) == {9}


def test_every_class_has_a_fit_row_even_where_there_are_more_classes_than_rows() -> None:
    sample = field(classes=500, each=4).sample(96)
    assert len(set(sample.targets[~sample.held_out].tolist())) == 500


def test_screening_and_confirmation_agree_on_who_is_who(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    for one in (batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"])):
        store.intake.accept(one)
    run_dry(learner_on(store, quick(method="frozen")))
    knowledge = Archive(store.blobs).read(store.manifest(store.timeline().live or 0))
    nothing = Prefix.empty(tiny.description)
    gate, head = GateConfig(), HeadConfig(kind="lda")
    same = screen_aggregate(knowledge, nothing, tiny, head, gate).verdict
    assert same.accuracy["candidate"] == same.accuracy["live"] == same.accuracy["frozen"]
    assert not same.accepted
    other = reexpress(knowledge, random_prefix(tiny.description, 4, seed=0), tiny)
    verdict = confirm_aggregate(knowledge, other, knowledge, head, gate)
    assert verdict.accuracy["rows"] == sum(t.held_out.sum() for t in knowledge.tasks.values())
    assert set(verdict.tasks) == {"mail", "bank"}
