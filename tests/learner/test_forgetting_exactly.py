"""Whatever is taught, refreshed and forgotten in whatever order: what is left is what the remaining
examples alone lead to. On the real statistics, heads, domains and router, in fp64 to 1e-9."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backbones.text.backbone import TorchTextBackbone
from learner.config import LearnerConfig
from learner.encoding import ExampleEncoder
from learner.forgetting import forget
from learner.heads.config import HeadConfig, Kind
from learner.knowledge import Knowledge
from learner.refresh import learn_batch, refit
from prompt_store import Batch, Erasure, Example, batch_id
from tests.learner.conftest import text

TASKS = ("mail", "bank")
LABELS = ("refund", "card")
KINDS: tuple[Kind, ...] = ("lda", "ridge", "logistic", "nearest", "mixture", "auto")

_numbers = count()


def one_row(task: str, label: str) -> Batch:
    """A batch of its own for every example, so that it is encoded alike whoever learns it."""
    number = next(_numbers)
    example = Example(id=f"row-{number}", label=label, text=text(label, number % 8))
    return Batch(
        id=batch_id(),
        task=task,
        received_at=datetime.now(UTC),
        body_digest="0" * 64,
        examples=(example,),
    )


@dataclass
class World:
    """A learner without its loop, and a list of what it should know."""

    encoder: ExampleEncoder
    config: LearnerConfig
    knowledge: Knowledge = field(default_factory=Knowledge)
    book: list[Batch] = field(default_factory=list)

    def teach(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.knowledge = learn_batch(self.knowledge, batch, self.encoder)
        self.book += batches

    def refresh(self) -> None:
        self.knowledge = refit(self.knowledge, self.config, self.encoder)

    def forget(self, task: str, label: str | None = None, ids: tuple[str, ...] = ()) -> None:
        erasure = Erasure(
            id=batch_id(), task=task, label=label, examples=ids, asked_at=datetime.now(UTC), after=0
        )
        gone = forget(
            self.knowledge, erasure, self.encoder, self.config, carries_traces=lambda _: False
        )
        stays = [
            b
            for b in self.book
            if b.task != task or not erasure.covers(b.examples[0].label, b.examples[0].id)
        ]
        assert gone.exact
        assert gone.examples == len(self.book) - len(stays)
        self.book = stays
        self.knowledge = refit(gone.knowledge, self.config, self.encoder, afresh=True)

    def never(self) -> World:
        """Another that learns at once what this one should know, task after task."""
        world = World(self.encoder, self.config)
        world.teach([b for task in self.knowledge.tasks for b in self.book if b.task == task])
        world.refresh()
        return world


def same_statistics(left: Knowledge, right: Knowledge) -> None:
    assert [d.tasks for d in left.domains] == [d.tasks for d in right.domains]
    for one, other in zip(left.domains, right.domains, strict=True):
        assert one.statistics is not None
        assert other.statistics is not None
        assert set(one.statistics.classes) == set(other.statistics.classes)
        known = one.statistics.select(other.statistics.classes)
        np.testing.assert_array_equal(known.counts, other.statistics.counts)
        np.testing.assert_allclose(known.sums, other.statistics.sums, rtol=0, atol=1e-9)
        np.testing.assert_allclose(known.scatter, other.statistics.scatter, rtol=0, atol=1e-9)


def same_heads(left: Knowledge, right: Knowledge) -> None:
    for one, other in zip(left.domains, right.domains, strict=True):
        assert one.head is not None
        assert other.head is not None
        assert one.head.metadata() == other.head.metadata()
        for name, tensor in other.head.tensors().items():
            np.testing.assert_allclose(one.head.tensors()[name], tensor, rtol=0, atol=1e-9)


rows = st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(LABELS)), min_size=1, max_size=12)
places = st.lists(st.integers(0, 40), min_size=1, max_size=3)
step = st.one_of(
    rows,
    st.just("refresh"),
    st.tuples(st.just("task"), st.sampled_from(TASKS)),
    st.tuples(st.just("class"), st.sampled_from(TASKS), st.sampled_from(LABELS)),
    st.tuples(st.just("examples"), places),
)


@pytest.mark.slow
@given(
    kind=st.sampled_from(KINDS),
    domains=st.sampled_from(["one", "found"]),
    steps=st.lists(step, max_size=6),
    last=st.lists(st.tuples(st.sampled_from(TASKS), st.sampled_from(LABELS)), min_size=8),
)
@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
def test_what_is_left_is_what_the_remaining_examples_lead_to(
    tiny: TorchTextBackbone, kind: Kind, domains: str, steps: list[Any], last: list[tuple[str, str]]
) -> None:
    config = LearnerConfig(
        method="frozen", domains=domains, head=HeadConfig(kind=kind, projection=16)
    )
    world = World(ExampleEncoder(tiny), config)
    world.teach([one_row(*one) for one in last])
    world.refresh()
    for one in steps:
        match one:
            case "refresh":
                world.refresh()
            case ("task", task):
                world.forget(task)
            case ("class", task, label):
                world.forget(task, label)
            case ("examples", numbers):
                chosen = [world.book[n % len(world.book)] for n in numbers if world.book]
                for task in dict.fromkeys(b.task for b in chosen):
                    ids = tuple({b.examples[0].id for b in chosen if b.task == task})
                    world.forget(task, ids=ids)
            case new:
                world.teach([one_row(*row) for row in new])
    assume(world.book)
    decoys = [one_row(b.task, "decoy") for b in world.book for _ in range(2)]
    world.teach(decoys)
    world.refresh()
    for task in TASKS:
        world.forget(task, "decoy")
    never = world.never()
    assert {n: t.examples.to_bytes() for n, t in world.knowledge.tasks.items()} == {
        n: t.examples.to_bytes() for n, t in never.knowledge.tasks.items()
    }
    same_statistics(world.knowledge, never.knowledge)
    same_heads(world.knowledge, never.knowledge)
    assert world.knowledge.arrangement == never.knowledge.arrangement
    router, other = world.knowledge.router, never.knowledge.router
    assert (router is None) == (other is None)
    if router is not None and other is not None:
        for name, tensor in other.tensors().items():
            np.testing.assert_allclose(router.tensors()[name], tensor, rtol=0, atol=1e-9)
