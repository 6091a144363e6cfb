"""Screenings: bounded, spread, and possible with more classes than they have rows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from backbones import Prefix
from backbones.checks import random_prefix
from backbones.text.backbone import TorchTextBackbone
from learner.archive import Archive
from learner.domains.rows import halves
from learner.encoding import ExampleEncoder
from learner.examples import KeptExample
from learner.expression import express
from learner.gate import GateConfig
from learner.heads import HeadConfig
from learner.sight import Seen
from learner.trial import Field, compare, field_of, screen
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
    seen = Seen(np.zeros((len(rows), 1, 2), np.float32))
    return Field(rows, targets, ["t"] * len(rows), names, seen, seen, halves(targets))


def test_a_sample_is_bounded_and_a_third_of_it_judges() -> None:
    sample = field(classes=10, each=40).sample(90)
    assert len(sample.rows) == 90
    assert sample.held_out.sum() == 30
    assert set(Counter(sample.targets.tolist()).values()) == {9}


def test_every_class_has_a_fit_row_even_where_there_are_more_classes_than_rows() -> None:
    sample = field(classes=500, each=4).sample(96)
    assert len(set(sample.targets[~sample.held_out].tolist())) == 500


def test_what_sees_the_same_is_refused_and_all_held_out_rows_judge(
    store: Store, learner_on: MakeLearner, tiny: TorchTextBackbone
) -> None:
    for one in (batch("mail", ["refund", "order"]), batch("bank", ["card", "loan"])):
        store.intake.accept(one)
    run_dry(learner_on(store, quick(method="frozen")))
    knowledge = Archive(store.blobs).read(store.manifest(store.timeline().live or 0))
    encoder, gate, head = ExampleEncoder(tiny), GateConfig(), HeadConfig(kind="lda")
    meeting = field_of(knowledge, "all")
    same = screen(meeting, Prefix.empty(tiny.description), encoder, head, gate).verdict
    assert same.accuracy["candidate"] == same.accuracy["live"] == same.accuracy["frozen"]
    assert not same.accepted
    other = express(
        knowledge, knowledge.domains[0], random_prefix(tiny.description, 4, seed=0), encoder
    )
    seen = other.seen(other.domains[0])
    verdict = compare(meeting, seen, head, gate, "no task named").verdict
    assert verdict.accuracy["rows"] == sum(t.held_out.sum() for t in knowledge.tasks.values())
    assert set(verdict.tasks) == {"mail", "bank"}
