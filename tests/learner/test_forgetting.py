"""Forgetting a task, a class or examples: as if that had never been taught."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from learner.archive import Archive
from learner.content import ContentReader
from learner.events import Event
from learner.knowledge import Knowledge
from learner.loop import Learner
from learner.publisher import FORGOTTEN
from prompt_store import (
    Actor,
    Backend,
    Batch,
    Erasure,
    Kind,
    Manifest,
    MemoryBackend,
    Store,
    batch_id,
    deeds_of,
)
from prompt_store.records import encode
from tests.learner.conftest import MakeLearner, batch, quick, run_dry
from tests.prompt_store.faults import CountingBackend, Died, DyingBackend

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


def forget(learner: Learner, store: Store, task: str, **what: Any) -> Manifest:
    """The version that carried it out."""
    erasure = store.erasures.ask(task, after=store.timeline().head, **what)
    run_dry(learner)
    (manifest,) = (m for m in history(store) if m.metrics.get("erasure") == erasure.id)
    return manifest


def history(store: Store) -> list[Manifest]:
    return store.manifests(100)


def check_equal(store: Store, never: Store) -> None:
    left, plain = known(store), known(never)
    assert left.labels == plain.labels
    assert {n: t.examples.seen for n, t in left.tasks.items()} == {
        n: t.examples.seen for n, t in plain.tasks.items()
    }
    for one, other in zip(left.domains, plain.domains, strict=True):
        assert one.tasks == other.tasks
        assert one.prompt is None
        assert one.statistics is not None
        assert other.statistics is not None
        mine = one.statistics.select(other.statistics.classes)
        np.testing.assert_allclose(mine.sums, other.statistics.sums, rtol=0, atol=1e-9)
        np.testing.assert_allclose(mine.scatter, other.statistics.scatter, rtol=0, atol=1e-9)
        assert one.head is not None
        assert other.head is not None
        for name, tensor in other.head.tensors().items():
            np.testing.assert_allclose(one.head.tensors()[name], tensor, rtol=0, atol=1e-9)


def part(whole: Batch, *labels: str) -> Batch:
    """The examples of some labels, as a batch of their own with new ids."""
    rest = tuple(
        one.model_copy(update={"id": f"{whole.id}-{one.id}"})
        for one in whole.examples
        if one.label in labels
    )
    return whole.model_copy(update={"id": batch_id(), "examples": rest})


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
    store.erasures.ask("mail", after=store.timeline().head, actor=Actor(name="chief", request="r"))
    run_dry(learner)
    manifest = store.manifest(store.timeline().live or 0)
    assert manifest.kind is Kind.FORGET
    assert manifest.actor == Actor(name="chief", request="r")
    (deed,) = [one for one in deeds_of(store) if one.what == "forget"]
    assert (deed.who, deed.task, deed.version) == ("chief", "mail", manifest.version)
    assert manifest.metrics["prompts_dropped"] == 2
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


@pytest.mark.parametrize("gate", ["open", "closed"])
@pytest.mark.parametrize("what", ["class", "examples"])
def test_what_remains_equals_never_having_seen_a_class_or_examples(
    gate: str, what: str, store: Store, learner_on: MakeLearner
) -> None:
    whole = batch("mail", ["refund", "order", "thanks"])
    stays, goes = part(whole, "refund", "order"), part(whole, "thanks")
    learner = learner_on(store, quick(gate=gate))
    taught(learner, store, stays, BANK, goes)
    asked = {"label": "thanks"} if what == "class" else {"examples": [e.id for e in goes.examples]}
    manifest = forget(learner, store, "mail", **asked)
    counts = {name: manifest.metrics[name] for name in ("examples", "classes", "not_found")}
    assert counts == {"examples": 8, "classes": 1, "not_found": 0}
    assert manifest.metrics["exact"] == 1
    assert (manifest.metrics["prompts_dropped"] != 0) == (gate == "open")
    said = manifest.model_dump_json()
    assert "thanks" not in said
    assert not any(one.id in said for one in goes.examples)
    assert list(store.backend.list_after("erasures/")) == []
    never = Store.open(f"memory://never-{gate}-{what}")
    taught(learner_on(never, quick(method="frozen")), never, stays, BANK)
    check_equal(store, never)


def test_some_examples_of_a_class_leave_the_others_their_roles_anew(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(method="frozen"))
    first, rest = part(MAIL, "refund"), part(MAIL, "order")
    taught(learner, store, first, rest)
    gone = [first.examples[i].id for i in (0, 3)]
    manifest = forget(learner, store, "mail", examples=[*gone, "of nobody"])
    assert (manifest.metrics["examples"], manifest.metrics["not_found"]) == (2, 1)
    left = known(store).tasks["mail"].examples
    assert left.seen == {"refund": 6, "order": 8}
    refunds = [row for row in left.rows if row.label == "refund"]
    assert [row.held_out for row in refunds] == [False, False, False, True, False, False]


def test_a_waiting_batch_is_learnt_once_without_what_is_forgotten(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(method="frozen"))
    taught(learner, store, BANK)
    emptied = part(MAIL, "order")
    for one in (MAIL, emptied):
        store.intake.accept(one)
    manifest = forget(learner, store, "mail", label="order")
    assert manifest.batches == (MAIL.id,) == manifest.decided
    assert manifest.metrics["examples"] == 16
    assert known(store).tasks["mail"].examples.seen == {"refund": 8}
    outcomes = [store.intake.outcome(one.id) for one in (MAIL, emptied)]
    assert [one and one.status for one in outcomes] == ["published", "failed"]
    assert store.intake.pending() == []
    check_once(store, MAIL, BANK)


def check_once(store: Store, *sent: Batch) -> None:
    names = Counter(one.id for one in sent)
    assert Counter(b for m in history(store) for b in m.batches) == names
    assert Counter(b for m in history(store) for b in m.decided) == names


def test_an_undecided_batch_is_cut_short_and_its_rest_trained_all_the_same(
    store: Store, learner_on: MakeLearner
) -> None:
    whole = batch("mail", ["refund", "order", "thanks"])
    untouched = batch("mail", ["refund", "order"])
    learner = learner_on(store, quick(gate="open", method="q-tuning"))
    store.intake.accept(whole)
    store.intake.accept(untouched)
    assert learner.step()
    manifest = forget(learner, store, "mail", label="thanks")
    assert manifest.decided == (whole.id,)
    assert store.intake.pending() == []
    check_once(store, whole, untouched)
    assert known(store).tasks["mail"].prompt is not None
    assert not any(row.label == "thanks" for row in known(store).tasks["mail"].examples.rows)


def test_a_class_with_more_examples_than_are_kept_leaves_no_statistics(
    store: Store, learner_on: MakeLearner
) -> None:
    few = quick(method="frozen", keep_per_class=4)
    learner = learner_on(store, few)
    taught(learner, store, MAIL, BANK)
    manifest = forget(learner, store, "mail", label="order")
    assert (manifest.metrics["examples"], manifest.metrics["exact"]) == (8, 1)
    (domain,) = known(store).domains
    assert domain.statistics is not None
    kept = known(store).seen(domain).features.astype(np.float64)
    np.testing.assert_allclose(domain.statistics.scatter, kept.T @ kept, rtol=0, atol=1e-9)
    rows = known(store).tasks["mail"].examples.rows
    forget(learner, store, "mail", examples=[row.id for row in rows])
    assert "mail" not in known(store).tasks  # of eight seen, none of the four kept is left


def test_without_examples_a_class_goes_but_not_from_the_common_spread(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(method="frozen", retain="none"))
    taught(learner, store, MAIL, BANK)
    manifest = forget(learner, store, "mail", label="order")
    assert (manifest.metrics["examples"], manifest.metrics["exact"]) == (8, 0)
    (domain,) = known(store).domains
    assert domain.statistics is not None
    assert sorted(domain.statistics.classes) == ["bank/card", "bank/loan", "mail/refund"]
    manifest = forget(learner, store, "mail", examples=["refund-0"])
    assert (manifest.metrics["examples"], manifest.metrics["not_found"]) == (0, 1)


@pytest.mark.slow
def test_dying_before_any_step_forgets_once(learner_on: MakeLearner) -> None:
    def filled() -> Backend:
        backend = MemoryBackend()
        store = Store.on(backend)
        for one in (BANK, part(MAIL, "refund"), part(MAIL, "order")):
            store.intake.accept(one)
            run_dry(learner_on(store, config))
        store.intake.accept(waiting)
        store.erasures.ask("mail", after=store.timeline().head, label="order")
        return backend

    config, waiting = quick(method="frozen"), part(MAIL, "refund", "order")
    before, whole_life = filled(), MemoryBackend()
    copy(before, whole_life)
    counting = CountingBackend(whole_life)
    run_dry(learner_on(Store(counting), config))
    for dies_at in range(0, counting.calls.total(), 3):
        backend = MemoryBackend()
        copy(before, backend)
        with pytest.raises(Died):
            run_dry(learner_on(Store(DyingBackend(backend, dies_at)), config))
        store = Store.on(backend)
        run_dry(learner_on(store, config))
        assert [m.kind for m in history(store)].count(Kind.FORGET) == 1
        assert [m for m in history(store) if waiting.id in m.batches] == [
            m for m in history(store) if waiting.id in m.decided
        ]
        assert known(store).tasks["mail"].examples.seen == {"refund": 16}
        assert store.erasures.pending() == []
        assert store.intake.pending() == []


def test_prompts_go_where_a_training_may_have_looked_at_the_task(
    store: Store, learner_on: MakeLearner
) -> None:
    learner = learner_on(store, quick(gate="open"))
    taught(learner, store, batch("single", ["only"]), MAIL)
    assert known(store).tasks["single"].prompt is None
    forget(learner, store, "single")
    assert known(store).tasks["mail"].prompt is None
