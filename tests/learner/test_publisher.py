"""Where live's content comes from, as far as the log still tells."""

from __future__ import annotations

from learner.publisher import descends
from learner.references import NAMING, references
from prompt_store import MemoryBackend, Retention, RetentionConfig, Store, batch_id
from prompt_store.log import GRACE
from tests.prompt_store.drafts import Clock, draft


def test_a_rollback_to_a_version_that_retention_has_dropped_undoes_what_came_between() -> None:
    clock, backend = Clock(), MemoryBackend()
    store = Store.on(backend, clock=clock)
    store.append(draft(), after=0)
    learnt = store.append(draft(parent=1, batches=(batch_id(),)), after=1).version
    live = store.promote(1, "api")
    clock.now += 2 * GRACE
    Retention(store, references, NAMING, RetentionConfig(versions=1, grace_seconds=GRACE)).run()
    later = Store(backend, clock=clock)
    assert later.log.is_past(1)
    assert not descends(later, live, learnt)
    assert descends(later, later.manifest(learnt), learnt)
