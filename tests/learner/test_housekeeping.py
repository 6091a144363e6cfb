"""A learner that keeps its store small between lessons."""

from __future__ import annotations

import pytest

from backbones.text.backbone import TorchTextBackbone
from learner.build import build_learner
from learner.loop import Learner
from learner.references import references
from prompt_store import (
    Kind,
    MemoryBackend,
    RetentionConfig,
    Store,
    audit_store,
    forgotten_reports,
)
from prompt_store.blobs import blob_key
from prompt_store.log import GRACE
from tests.learner.conftest import batch, quick, run_dry
from tests.prompt_store.drafts import Clock

ALWAYS = RetentionConfig(versions=3, grace_seconds=GRACE, every_seconds=1e-9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store.on(MemoryBackend(), clock=clock)


def learner_on(store: Store, tiny: TorchTextBackbone) -> Learner:
    learner = build_learner(store, tiny, quick(method="frozen"), retention=ALWAYS)
    learner.start()
    return learner


def test_a_store_that_learns_on_and_on_stays_bounded(
    store: Store, clock: Clock, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, tiny)
    versions, blobs = [], []
    for number in range(9):
        store.intake.accept(batch("mail", ["refund", "order"], rows=4 + number % 3))
        run_dry(learner)
        clock.now += 1.5 * GRACE
        learner.step()
        versions.append(len(store.manifests(1000)))
        blobs.append(len(store.blobs.digests()))
        if number == 6:
            learner = learner_on(store, tiny)  # a successor goes on with it
    assert max(versions) <= ALWAYS.versions + 1  # and the successor's fence
    assert max(blobs[5:]) <= max(blobs[:5])
    assert store.manifest(store.timeline().live or 0).tasks["mail"].examples > 80
    assert audit_store(store.backend, references).faults == ()


def test_what_was_forgotten_is_erased_and_reported(
    store: Store, clock: Clock, tiny: TorchTextBackbone
) -> None:
    learner = learner_on(store, tiny)
    named: set[str] = set()
    for task in ("mail", "bank"):
        store.intake.accept(batch(task, [f"{task} one", f"{task} two"]))
        run_dry(learner)
        named |= set(store.manifest(store.timeline().live or 0).blobs.values())
    store.erasures.ask("mail", after=store.timeline().head)
    run_dry(learner)
    for _ in range(3):
        clock.now += 1.5 * GRACE
        run_dry(learner)
    (report,) = forgotten_reports(store.backend)
    assert store.manifest(report.forget).kind is Kind.FORGET
    assert report.erased_at is not None
    left = store.blobs.digests()
    assert len(named - set(left)) == report.blobs - report.named_again > 0
    assert not any(b"mail one" in store.blobs.get(digest) for digest in left)


def test_damage_keeps_it_from_deleting_and_not_from_learning(
    store: Store, clock: Clock, tiny: TorchTextBackbone, caplog: pytest.LogCaptureFixture
) -> None:
    learner = learner_on(store, tiny)
    store.intake.accept(batch("mail", ["refund", "order"]))
    run_dry(learner)
    damaged = store.manifest(store.timeline().live or 0).blobs["examples/mail"]
    store.backend.delete(blob_key(damaged))
    store.blobs.put(b"orphan")
    successor = build_learner(store, tiny, quick(method="frozen"), retention=ALWAYS)
    assert successor is not learner
    learner._housekeeping = successor._housekeeping  # which remembers nothing of that blob
    store.intake.accept(batch("bank", ["card", "loan"]))
    run_dry(learner)
    assert "nothing was deleted" in caplog.text
    assert "bank" in store.manifest(store.timeline().live or 0).tasks
    assert list(store.backend.list_after("condemned/")) == []
