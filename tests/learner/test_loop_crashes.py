"""A learner that dies before any primitive operation of the store, and the one that follows it."""

from __future__ import annotations

from collections import Counter

import pytest

from learner.archive import Archive
from learner.config import LearnerConfig
from learner.references import references
from prompt_store import Backend, Batch, Kind, MemoryBackend, Store, audit_store
from tests.learner.conftest import MakeLearner, batch, quick, run_dry
from tests.prompt_store.faults import CountingBackend, Died, DyingBackend
from tests.prompt_store.keeping import content_of

STRIDE = {"frozen": 1, "q-tuning": 5}
"""Every step for the quick method, one in five where each life trains prompts."""
SENT = (batch("mail", ["refund", "order"], rows=4), batch("bank", ["card", "loan"], rows=4))


def filled() -> Backend:
    """A store with two accepted batches."""
    backend = MemoryBackend()
    store = Store.on(backend)
    for one in SENT:
        store.intake.accept(one)
    return backend


def steps_of_a_whole_life(learner_on: MakeLearner, config: LearnerConfig) -> int:
    counting = CountingBackend(filled())
    run_dry(learner_on(Store(counting), config))
    return counting.calls.total()


def check_learnt_once(store: Store, sent: tuple[Batch, ...]) -> None:
    manifests = [store.manifest(n) for n in range(1, store.timeline().head + 1)]
    learnt = Counter(b for manifest in manifests for b in manifest.batches)
    decided = Counter(b for manifest in manifests for b in manifest.decided)
    assert learnt == decided == Counter(one.id for one in sent)
    assert store.intake.pending() == []
    live = store.manifest(store.timeline().live or 0)
    knowledge = Archive(store.blobs).read(live)
    for one in sent:
        rows = knowledge.tasks[one.task].examples.rows
        assert len(rows) == len(one.examples)
        assert store.intake.outcome(one.id) is not None


@pytest.mark.slow
@pytest.mark.parametrize("method", ["frozen", "q-tuning"])
def test_dying_before_any_step_loses_nothing_and_learns_nothing_twice(
    method: str, learner_on: MakeLearner
) -> None:
    config = quick(gate="open", method=method, minimum_rows=4)
    total = steps_of_a_whole_life(learner_on, config)
    assert total > 20
    for dies_at in range(0, total, STRIDE[method]):
        backend = filled()
        with pytest.raises(Died):
            run_dry(learner_on(Store(DyingBackend(backend, dies_at)), config))
        survivor = Store.on(backend)
        run_dry(learner_on(survivor, config))
        check_learnt_once(survivor, SENT)


@pytest.mark.slow
def test_dying_before_any_step_of_forgetting_forgets_all_of_the_task_and_nothing_else(
    learner_on: MakeLearner,
) -> None:
    config = quick(gate="open", method="frozen", minimum_rows=4)
    learnt = filled()
    run_dry(learner_on(Store.on(learnt), config))
    Store.on(learnt).erasures.ask("mail", after=Store.on(learnt).timeline().head)
    dies_at, lived = 0, False
    while not lived:
        backend = copy_of(learnt)
        try:
            run_dry(learner_on(Store(DyingBackend(backend, dies_at)), config))
            lived = True
        except Died:
            run_dry(learner_on(Store.on(backend), config))
        store = Store.on(backend)
        kinds = [store.manifest(n).kind for n in range(1, store.timeline().head + 1)]
        assert kinds.count(Kind.FORGET) == 1
        assert store.erasures.pending() == []
        assert set(store.manifest(store.timeline().live or 0).tasks) == {"bank"}
        assert audit_store(backend, references).faults == ()
        dies_at += 1
    assert dies_at > 10


def copy_of(backend: Backend) -> Backend:
    copy = MemoryBackend()
    for key, data in content_of(backend).items():
        copy.create(key, data)
    return copy
