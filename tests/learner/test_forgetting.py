"""Forgetting a task: as if it had never been taught."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from learner.archive import Archive
from learner.content import ContentReader
from learner.events import Event
from learner.knowledge import Knowledge
from learner.loop import Learner
from learner.publisher import FORGOTTEN
from prompt_store import Backend, Batch, Erasure, Kind, MemoryBackend, Store
from prompt_store.records import encode
from tests.learner.conftest import MakeLearner, batch, quick, run_dry

MAIL = batch("mail", ["refund", "order"])
BANK = batch("bank", ["card", "loan"])


def known(store: Store) -> Knowledge:
    return Archive(store.blobs).read(store.manifest(store.timeline().live or 0))


def taught(learner: Learner, store: Store, *batches: Batch) -> Store:
    for one in batches:
        store.intake.accept(one)
        run_dry(learner)
    return store


def copy(source: Backend, target: Backend) -> None:
    for key in source.list_after(""):
        target.create(key, source.read(key))


def forget(learner: Learner, store: Store, task: str) -> None:
    store.erasures.ask(task, after=store.timeline().head)
    run_dry(learner)


@pytest.mark.parametrize("gate", ["open", "closed"])
def test_what_remains_equals_never_having_seen_the_task(
    gate: str, store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate=gate))
    taught(learner, store, MAIL, BANK)
    forget(learner, store, "mail")
    never = Store.open(f"memory://never-{gate}")
    taught(learner_on(never, quick(method="frozen")), never, BANK)
    left, plain = known(store), known(never)
    assert set(left.tasks) == {"bank"}
    assert left.labels == plain.labels
    (remaining,), (unaware,) = left.domains, plain.domains
    assert remaining.prompt is None
    assert remaining.statistics is not None
    assert unaware.statistics is not None
    assert remaining.statistics.classes == unaware.statistics.classes
    scatters = remaining.statistics.scatter, unaware.statistics.scatter
    np.testing.assert_allclose(*scatters, atol=1e-9)
    np.testing.assert_allclose(remaining.statistics.sums, unaware.statistics.sums, atol=1e-9)
    assert remaining.head is not None
    assert unaware.head is not None
    for name, tensor in unaware.head.tensors().items():
        np.testing.assert_array_equal(remaining.head.tensors()[name], tensor)


def test_the_manifest_does_not_name_what_was_forgotten(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="open"))
    taught(learner, store, MAIL, BANK)
    forget(learner, store, "mail")
    manifest = store.manifest(store.timeline().live or 0)
    assert manifest.kind is Kind.FORGET
    assert manifest.metrics["prompts_dropped"] == 1
    assert "mail" not in manifest.model_dump_json()
    assert store.erasures.pending() == []


def test_prompts_stay_where_the_task_never_trained_one(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="open"))
    taught(learner, store, MAIL, batch("single", ["only"]))
    forget(learner, store, "single")
    assert known(store).domains[0].prompt is not None
    assert known(store).tasks["mail"].prompt is not None


def test_batches_under_way_end_as_forgotten(store: Store, learner_on: MakeLearner) -> None:
    learner = learner_on(store)
    store.intake.accept(MAIL)
    assert learner.step()  # refreshed, its prompt undecided
    later = batch("mail", ["thanks"])
    store.intake.accept(later)
    store.erasures.ask("mail", after=store.timeline().head)
    run_dry(learner)
    for one in (MAIL, later):
        outcome = store.intake.outcome(one.id)
        assert outcome is not None
        assert (outcome.status, outcome.error) == ("failed", FORGOTTEN)
    assert known(store).tasks == {}


def test_the_last_task_forgotten_leaves_an_empty_version(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="open"))
    taught(learner, store, MAIL)
    forget(learner, store, "mail")
    content = ContentReader(store.blobs).read(store.manifest(store.timeline().live or 0))
    assert content.labels == ()
    assert content.domains == ()
    taught(learner, store, BANK)
    assert set(known(store).tasks) == {"bank"}


def test_a_request_is_carried_out_once_even_when_the_learner_died_before_settling_it(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(method="frozen"))
    taught(learner, store, MAIL, BANK)
    erasure = store.erasures.ask("mail", after=store.timeline().head)
    assert learner.step()
    dead = MemoryBackend()  # as if it had died right before it settled the request
    copy(store.backend, dead)
    dead.create(f"erasures/{erasure.id}.json", encode(erasure))
    store = Store.on(dead)
    assert store.erasures.pending() == [erasure]
    again = batch("mail", ["refund"], rows=5)
    store.intake.accept(again)
    run_dry(learner_on(store, quick(method="frozen")))
    assert set(known(store).tasks) == {"bank", "mail"}
    assert store.erasures.pending() == []


def test_what_is_taught_after_the_request_is_kept_even_while_another_task_trains(
    store: Store, learner_on: MakeLearner
) -> None:
    again = batch("mail", ["thanks"])

    def emit(event: Event) -> None:
        if event.phase == "training" and event.epoch and event.task == "bank" and not asked:
            asked.append(store.erasures.ask("mail", after=store.timeline().head))
            later = again.model_copy(update={"received_at": datetime.now(UTC)})
            store.intake.accept(later)

    asked: list[Erasure] = []
    learner = learner_on(store, quick(), emit)
    taught(learner, store, batch("mail", ["refund"]), BANK)
    assert asked
    assert known(store).tasks["mail"].examples.labels == ("thanks",)
    outcome = store.intake.outcome(again.id)
    assert outcome is not None
    assert outcome.status == "published"
    assert store.timeline().undecided == {}


def test_prompts_of_another_method_are_traces_too(store: Store, learner_on: MakeLearner) -> None:
    taught(learner_on(store, quick(gate="open")), store, MAIL, BANK)
    forget(learner_on(store, quick(method="frozen")), store, "mail")
    assert known(store).domains[0].prompt is None
    assert all(task.prompt is None for task in known(store).tasks.values())
