"""What the account of a run of kills or races finds wrong, and what it lets pass."""

from __future__ import annotations

import pytest

from benchmarks.verdict import Sent, Verdict, judge
from prompt_store import Kind, Manifest, MemoryBackend, Store, batch_id
from prompt_store.log import log_key
from tests.prompt_store.drafts import batch, published
from tests.prompt_store.keeping import live, rewrite

ONE = batch_id("one")
SENT = {ONE: Sent("mail", 7)}  # as many as the drafts say


@pytest.fixture
def store() -> Store:
    """One batch, learnt and decided, between a fence and a promotion."""
    store = Store.on(MemoryBackend())
    store.fence("learner")
    store.intake.accept(batch(ONE))
    live(store, batches=(ONE,))
    live(store, Kind.TRAIN, decided=(ONE,))
    store.intake.settle(published(ONE, 3))
    store.promote(3, "operator")
    return store


def wrong(verdict: Verdict) -> set[str]:
    assert verdict.holds == (verdict == sound(verdict))
    return {name for name, value in vars(verdict).items() if value != vars(sound(verdict))[name]}


def sound(verdict: Verdict) -> Verdict:
    return Verdict(verdict.acknowledged, verdict.versions, 0, 0, 0, 0, 0, 0, 0, ())


def test_a_store_that_kept_its_promises_passes(store: Store) -> None:
    verdict = judge(store, SENT)
    assert wrong(verdict) == set()
    assert (verdict.acknowledged, verdict.versions) == (1, 4)


def test_a_batch_that_no_version_published_is_lost(store: Store) -> None:
    verdict = judge(store, SENT | {batch_id("two"): Sent("mail", 1)})
    assert wrong(verdict) == {"lost", "miscounted"}


def test_a_batch_that_still_waits_is_not_lost(store: Store) -> None:
    two = batch_id("two")
    store.intake.accept(batch(two))
    assert wrong(judge(store, SENT | {two: Sent("mail", 1)})) == {"waiting", "miscounted"}


def test_what_nobody_sent_and_was_learnt_shows(store: Store) -> None:
    assert wrong(judge(store, {})) == {"unasked", "miscounted"}


def test_a_batch_in_two_versions_is_learnt_twice(store: Store) -> None:
    rewrite(store.backend, log_key(3), Manifest, batches=(ONE,))
    assert wrong(judge(Store(store.backend), SENT)) == {"learnt_twice", "faults"}


def test_a_version_on_top_of_another_than_live_is_a_fork(store: Store) -> None:
    rewrite(store.backend, log_key(3), Manifest, parent=1)
    assert wrong(judge(Store(store.backend), SENT)) == {"forks", "faults"}


def test_a_missing_number_is_a_gap(store: Store) -> None:
    store.backend.delete(log_key(2))
    assert {"gaps", "faults"} <= wrong(judge(store, SENT))
