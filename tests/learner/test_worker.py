"""A worker on a real store: learns, rests while another holds the store, comes back."""

from __future__ import annotations

import threading

import pytest

from backbones.text.backbone import TorchTextBackbone
from learner import worker as worker_module
from learner.events import Event
from learner.methods.config import QTuningConfig
from learner.worker import Worker
from prompt_store import Kind, Store
from tests.learner.conftest import batch, quick


@pytest.fixture
def quick_takeover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "TAKEOVER_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "give_way", lambda niceness: None)


@pytest.mark.usefixtures("quick_takeover")
def test_a_superseded_worker_rests_and_takes_over_when_the_other_is_gone(
    store: Store, tiny: TorchTextBackbone
) -> None:
    rested, published = threading.Event(), threading.Event()

    def emit(event: Event) -> None:
        if event.kind == "failed":
            rested.set()
        if event.kind == "refreshed":
            published.set()

    worker = Worker(store, lambda: tiny, quick(method="frozen"), writer="one", emit=emit)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        for _ in range(1000):
            if store.timeline().epoch:
                break
            threading.Event().wait(0.01)
        store.fence("another")
        assert rested.wait(30)
        store.intake.accept(batch("mail", ["refund", "order"]))
        assert published.wait(30)
        assert store.timeline().epoch == 3
    finally:
        worker.stop()
        thread.join(30)
    assert not thread.is_alive()


@pytest.mark.usefixtures("quick_takeover")
def test_a_training_that_is_stopped_leaves_no_trace_and_begins_anew(
    store: Store, tiny: TorchTextBackbone
) -> None:
    training, published = threading.Event(), threading.Event()

    def emit(event: Event) -> None:
        if event.phase == "training" and event.epoch is not None:
            training.set()
        if event.kind == "candidate":
            published.set()

    long = QTuningConfig(
        rows=2, shared_rows=2, capacity=2, epochs=1, minimum_steps=10**6, maximum_steps=10**6
    )
    store.intake.accept(batch("mail", ["refund", "order"]))
    for config, reached in (
        (quick().model_copy(update={"q_tuning": long}), training),
        (quick(), published),
    ):
        worker = Worker(store, lambda: tiny, config, writer="one", emit=emit)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            assert reached.wait(60)
        finally:
            worker.stop()
            thread.join(30)
        assert not thread.is_alive()
        timeline = store.timeline()
        assert len(timeline.undecided) == (0 if published.is_set() else 1)
        kinds = [store.manifest(n).kind for n in range(1, timeline.head + 1)]
        assert (Kind.CANDIDATE in kinds) == published.is_set()
